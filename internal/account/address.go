package account

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"holdfast/internal/text"
)

// MaxEmailBytes is the longest address: what fits between the angle brackets of a
// path (RFC 5321, section 4.5.3.1.3).
const MaxEmailBytes = 254

// Address is an email address in each of its forms.
type Address struct {
	Email string // as it is kept and shown: as typed, and the domain in Unicode
	Key   string // by which a mailbox is one account: in lower case, and the domain in ASCII
	Wire  string // as mail servers get it: as typed, and the domain in ASCII

	former string // the key that versions had that did not know of two spellings of a domain
}

// ParseAddress returns an address to which email can be sent, or what is wrong with
// it: for the forms and the mailer alike. Only an email can show whether there is
// such a mailbox. Dots may be where RFC 5321 has none, as some mailboxes have them.
func ParseAddress(typed string) (a Address, problem string) {
	a, problem = readAddress(typed)
	if problem != "" {
		return a, problem
	}
	_, domain, _ := strings.Cut(a.Wire, "@")
	if at := strings.IndexAny(a.Email, `"(),:;<>[\]`); at >= 0 {
		return a, fmt.Sprintf("Email address must not contain “%c”.", a.Email[at])
	}
	_, err := asciiDomain(domain)
	switch {
	case strings.HasSuffix(domain, "."):
		return a, "Email address must not end with a dot."
	case strings.Contains(domain, ".."):
		return a, "Email address must not have two dots in a row after the @."
	case err != nil:
		return a, "Email address must have a domain name after the @, like name@example.com."
	}
	return a, ""
}

// readAddress reads an address that an account may have, or says why none can:
// accounts of earlier versions have some to which no email is sent.
func readAddress(typed string) (a Address, problem string) {
	if !utf8.ValidString(typed) {
		return a, "Email address contains characters we can’t read. Type it again."
	}
	email := text.Clean(strings.TrimFunc(typed, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }))
	local, domain, _ := strings.Cut(email, "@")
	switch {
	case email == "":
		return a, "Enter your email address."
	case local == "" || domain == "" || strings.Contains(domain, "@"):
		return a, "Enter an email address in the correct format, like name@example.com."
	case strings.ContainsFunc(email, unicode.IsSpace):
		return a, "Email address must not contain spaces."
	case strings.ContainsFunc(email, invisible):
		return a, "Email address must not contain invisible characters. Type it again."
	}
	key := norm.NFC.String(strings.Map(lower, email))
	a = Address{Email: email, Key: key, Wire: email, former: key}
	lowLocal, lowDomain, _ := strings.Cut(key, "@")
	if ascii, err := asciiDomain(lowDomain); err == nil && ascii != lowDomain {
		a.Key, a.Wire = lowLocal+"@"+ascii, local+"@"+ascii
	}
	if shown, err := domainProfile().ToUnicode(lowDomain); err == nil && strings.Contains(lowDomain, "xn--") && !strings.ContainsFunc(shown, invisible) {
		a.Email = local + "@" + shown
	}
	// Some letters take more bytes in lower case, and most domains in ASCII.
	if max(len(a.Email), len(a.Key), len(a.Wire)) > MaxEmailBytes {
		return Address{}, fmt.Sprintf("Email address must be %d characters or fewer.", MaxEmailBytes)
	}
	return a, ""
}

// domainProfile is how browsers read the name of a host (UTS #46, without the
// transitional forms), with hyphens as domains have them.
func domainProfile() *idna.Profile {
	return idna.New(idna.MapForLookup(), idna.BidiRule(), idna.VerifyDNSLength(true), idna.CheckHyphens(false))
}

// asciiDomain returns a domain in ASCII. That is read once more, as some domains are
// found to be none only then.
func asciiDomain(domain string) (string, error) {
	ascii, err := domainProfile().ToASCII(domain)
	if err != nil {
		return "", err
	}
	return domainProfile().ToASCII(ascii)
}

// EmailKey is the form of an address by which two spellings of one are the same,
// and whether it is an address.
func EmailKey(email string) (key string, ok bool) {
	a, problem := readAddress(email)
	return a.Key, problem == ""
}

func invisible(r rune) bool { return text.Breaks(r) || unicode.Is(unicode.Cf, r) }

// lower lowers a letter, except for those outside ASCII whose small letter is in
// it: with U+0130, which would become i, two mailboxes had one key. What Unicode
// calls the same character, as U+212A and K, is one by then (text.Clean).
func lower(r rune) rune {
	small := unicode.ToLower(r)
	if r > unicode.MaxASCII && small <= unicode.MaxASCII {
		return r
	}
	return small
}
