package account

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	// MaxNameRunes is the longest name, in code points after NFC.
	MaxNameRunes = 120
	// MaxEmailBytes is the longest address: what fits between the angle
	// brackets of a path (RFC 5321, section 4.5.3.1.3).
	MaxEmailBytes = 254
)

// cleanName returns a name as it is kept, or what is wrong with it.
func cleanName(name string) (clean, problem string) {
	if !utf8.ValidString(name) {
		return "", "This name holds something that is not text. Type it anew."
	}
	name = norm.NFC.String(strings.TrimSpace(name))
	switch {
	case !strings.ContainsFunc(name, visible):
		return "", "Say what you would like to be called."
	case utf8.RuneCountInString(name) > MaxNameRunes:
		return "", fmt.Sprintf("Use at most %d characters; this is %d.", MaxNameRunes, utf8.RuneCountInString(name))
	case strings.ContainsFunc(name, breaksText):
		return "", "Use letters, digits and signs only, on one line."
	}
	return name, ""
}

// cleanEmail returns an address as it is kept and the key by which it is
// unique, or what is wrong with it. Whether mail arrives there only mail can
// tell, so little more is asked than that it be an address.
func cleanEmail(email string) (clean, key, problem string) {
	if !utf8.ValidString(email) {
		return "", "", "This address holds something that is not text. Type it anew."
	}
	email = norm.NFC.String(strings.TrimSpace(email))
	key = norm.NFC.String(strings.ToLower(email))
	local, domain, _ := strings.Cut(email, "@")
	switch {
	case email == "":
		return "", "", "Fill in your e-mail address."
	case local == "" || domain == "" || strings.Contains(domain, "@"):
		return "", "", "An e-mail address looks like name@example.com, with one @."
	case strings.ContainsFunc(email, unicode.IsSpace):
		return "", "", "An e-mail address has no spaces. Take them out."
	case strings.ContainsFunc(email, func(r rune) bool { return breaksText(r) || unicode.Is(unicode.Cf, r) }):
		return "", "", "This address holds invisible characters. Type it anew."
	// Some letters take more bytes in lower case.
	case max(len(email), len(key)) > MaxEmailBytes:
		return "", "", fmt.Sprintf("This address is too long. Use one of at most %d characters.", MaxEmailBytes)
	}
	return email, key, ""
}

func visible(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }

// breaksText says that a character would break out of the text around it on a
// page or in a log: controls, line and paragraph ends, and the marks that turn
// the direction of what follows.
func breaksText(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}
