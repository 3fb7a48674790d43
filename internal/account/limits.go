package account

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"holdfast/internal/text"
)

const (
	// MaxNameRunes is the longest name, in code points after NFC.
	MaxNameRunes = 120
	// MaxEmailBytes is the longest address: what fits between the angle
	// brackets of a path (RFC 5321, section 4.5.3.1.3).
	MaxEmailBytes = 254
)

// withoutMarks removes the invisible marks that Hebrew and Arabic directories put
// around names: LRM, RLM and ALM.
var withoutMarks = strings.NewReplacer("\u200e", "", "\u200f", "", "\u061c", "")

// cleanName returns a name as it is kept, or what is wrong with it.
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

// cleanEmail returns an address as it is kept and the key by which it is
// unique, or what is wrong with it. Whether email arrives there only an email can
// tell, so little more is asked than that it be an address.
func cleanEmail(email string) (clean, key, problem string) {
	if !utf8.ValidString(email) {
		return "", "", "Email address contains characters we can’t read. Type it again."
	}
	email = text.Clean(email)
	key = norm.NFC.String(strings.Map(lower, email))
	local, domain, _ := strings.Cut(email, "@")
	switch {
	case email == "":
		return "", "", "Enter your email address."
	case local == "" || domain == "" || strings.Contains(domain, "@"):
		return "", "", "Enter an email address in the correct format, like name@example.com."
	case strings.ContainsFunc(email, unicode.IsSpace):
		return "", "", "Email address must not contain spaces."
	case strings.ContainsFunc(email, func(r rune) bool { return text.Breaks(r) || unicode.Is(unicode.Cf, r) }):
		return "", "", "Email address must not contain invisible characters. Type it again."
	// Some letters take more bytes in lower case.
	case max(len(email), len(key)) > MaxEmailBytes:
		return "", "", fmt.Sprintf("Email address must be %d characters or fewer.", MaxEmailBytes)
	}
	return email, key, ""
}

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
