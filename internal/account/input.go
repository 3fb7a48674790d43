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

// MaxNameRunes is the longest name, in code points after NFC.
const MaxNameRunes = 120

// withoutMarks removes the invisible marks that Hebrew and Arabic directories put
// around names, LRM, RLM and ALM, and the byte order mark of a file.
var withoutMarks = strings.NewReplacer("\u200e", "", "\u200f", "", "\u061c", "", "\ufeff", "")

// cleanName returns a name as it is stored, or what is wrong with it.
func cleanName(name string) (clean, problem string) {
	if !utf8.ValidString(name) {
		return "", "Name contains characters we can’t read. Type it again."
	}
	name = text.Clean(withoutMarks.Replace(name))
	switch {
	case !strings.ContainsFunc(name, text.Visible):
		return "", "Enter your name."
	case utf8.RuneCountInString(name) > MaxNameRunes:
		return "", fmt.Sprintf("Name must be %d characters or fewer. You entered %d.", MaxNameRunes, utf8.RuneCountInString(name))
	case strings.ContainsFunc(name, text.Breaks):
		return "", "Name must be on one line, without invisible characters."
	}
	return name, ""
}

// MaxEmailBytes is the longest address: what fits between the angle brackets of a
// path (RFC 5321, section 4.5.3.1.3).
const MaxEmailBytes = 254

// Address is an email address in each of its forms.
type Address struct {
	Email string // as stored and shown: as typed, with the domain in Unicode
	Key   string // identifies the mailbox: in lower case, with the domain in ASCII
	Wire  string // for mail servers: as typed, with the domain in ASCII

	former string // the key in earlier versions, which kept two spellings of a domain apart
}

// ParseAddress returns an address that can receive email, or what is wrong with it. The
// forms and the mailer both use it. Only sending an email shows whether the mailbox
// exists. Dots are allowed where RFC 5321 has none, because some mailboxes have them.
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

// readAddress reads an address that an account may have, or says why none may have it.
// Accounts from earlier versions have some addresses to which no email is sent.
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
	// Some letters take more bytes in lower case, and most domains do in ASCII.
	if max(len(a.Email), len(a.Key), len(a.Wire)) > MaxEmailBytes {
		return Address{}, fmt.Sprintf("Email address must be %d characters or fewer.", MaxEmailBytes)
	}
	return a, ""
}

// domainProfile reads host names as browsers do (UTS #46, without the transitional
// forms), with hyphens as domains have them.
func domainProfile() *idna.Profile {
	return idna.New(idna.MapForLookup(), idna.BidiRule(), idna.VerifyDNSLength(true), idna.CheckHyphens(false))
}

// asciiDomain returns a domain in ASCII. It reads the result again, because some
// invalid domains are only found then.
func asciiDomain(domain string) (string, error) {
	ascii, err := domainProfile().ToASCII(domain)
	if err != nil {
		return "", err
	}
	return domainProfile().ToASCII(ascii)
}

// EmailKey returns the form that all spellings of an address share, and whether email
// is an address.
func EmailKey(email string) (key string, ok bool) {
	a, problem := readAddress(email)
	return a.Key, problem == ""
}

func invisible(r rune) bool { return text.Breaks(r) || unicode.Is(unicode.Cf, r) }

// lower returns a letter in lower case, except for a letter outside ASCII whose lower
// case is in ASCII: if U+0130 became i, two mailboxes would share a key. text.Clean has
// already replaced characters that Unicode treats as the same, such as U+212A and K.
func lower(r rune) rune {
	small := unicode.ToLower(r)
	if r > unicode.MaxASCII && small <= unicode.MaxASCII {
		return r
	}
	return small
}
