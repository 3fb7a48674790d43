// Package password owns the rules for passwords: how they are hashed and verified, and
// which ones are refused and why. It must not know whose password it is, where hashes
// are stored, or how a reason is shown.
package password

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"holdfast/internal/product"
)

const (
	// MaxBytes is the longest password, in bytes as sent. Longer passwords are never
	// hashed, and none is ever truncated (OWASP ASVS 5.0.0, 6.2.8 and 6.2.9).
	MaxBytes = 1024
	// DefaultMinRunes is the fewest characters, in code points, if the password is the
	// only factor (NIST SP 800-63B-4, section 3.1.1.2).
	DefaultMinRunes = 15
	// LeastMinRunes is the lowest minimum a policy may set (OWASP ASVS 5.0.0,
	// 6.2.1).
	LeastMinRunes = 8
)

// Weak is the error for a password that is refused. Reason is a sentence or two for the
// user: what is wrong and what to do.
type Weak struct{ Reason string }

func (w *Weak) Error() string { return w.Reason }

// Policy says which passwords are accepted. It has no rules on the kinds of characters
// (NIST SP 800-63B-4, section 3.1.1.2; OWASP ASVS 5.0.0, 6.2.5). The zero Policy
// requires [DefaultMinRunes].
type Policy struct {
	// MinRunes is the fewest code points, counted after NFC. Zero means
	// DefaultMinRunes; anything below LeastMinRunes means LeastMinRunes.
	MinRunes int
	// Breached, if set, holds known passwords, which are refused.
	Breached *Breached
}

// Hashable reports whether a password could ever have been accepted: at most [MaxBytes]
// of valid UTF-8 without NUL. Call it before hashing.
func Hashable(password string) bool {
	return len(password) <= MaxBytes && isText(password)
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// Check returns nil, or a *[Weak] that says why the password is refused: it is too
// short, too long, not text, a sequence or repetition, mostly words in
// about (the person's name and email address) or of this service's name, well known, or
// breached. All of these except the last ignore letter case. Check makes no network
// requests. Any other error means that the file of breached passwords could not be
// read.
func (p Policy) Check(password string, about ...string) error {
	switch {
	case len(password) > MaxBytes:
		return &Weak{"Password must be 1,024 bytes or fewer. Accented letters and emoji take more than one byte each."}
	case !isText(password):
		return &Weak{"Password contains characters we can’t read. Type it again."}
	}
	password = norm.NFC.String(password)
	switch n := utf8.RuneCountInString(password); {
	case n == 0:
		return &Weak{fmt.Sprintf("Enter a password of at least %d characters.", p.minRunes())}
	case n < p.minRunes():
		return &Weak{fmt.Sprintf("Password must be at least %d characters. You entered %d.", p.minRunes(), n)}
	}
	folded := strings.ToLower(password)
	switch {
	case patterned(folded):
		return &Weak{"This is a sequence or a repetition, which is easy to guess. Use a few unrelated words."}
	case mostlyOf(folded, about):
		return &Weak{"This is mostly your name or email address, which others know. Use a few unrelated words."}
	case mostlyOf(folded, []string{product.Slug, product.Name}):
		return &Weak{"This is mostly the name of this site, which is easy to guess. Use a few unrelated words."}
	case wellKnown(folded), aPhrase(folded):
		return &Weak{"This is one of the first passwords anyone would guess. Use a few unrelated words."}
	}
	if p.Breached == nil {
		return nil
	}
	has, err := p.Breached.Has(password)
	if err == nil && has {
		return &Weak{"This password has appeared in a data breach, so others know it. Use a few unrelated words."}
	}
	return err
}

func (p Policy) minRunes() int {
	if p.MinRunes == 0 {
		return DefaultMinRunes
	}
	return max(p.MinRunes, LeastMinRunes)
}
