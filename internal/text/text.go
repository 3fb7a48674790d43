// Package text owns what is done in the same way to every short text: generating random
// IDs and tokens, hashing them, and cleaning what a person or a browser sent. It must
// not know what any of it means.
package text

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// NewID returns 128 random bits as 22 base64url characters: an ID that never repeats and
// cannot be guessed (OWASP ASVS 5.0.0, 11.5.1).
func NewID() string { return Random(16) }

// Random returns the given number of random bytes as base64url.
func Random(bytes int) string {
	random := make([]byte, bytes)
	rand.Read(random) // never fails, always fills random
	return base64.RawURLEncoding.EncodeToString(random)
}

// IsID reports whether id has the form of an ID from NewID. No other needs a query.
func IsID(id string) bool { return len(id) == 22 && strings.Trim(id, base64url) == "" }

// NewToken returns 256 random bits as 43 base64url characters: a secret that authorises
// its holder (OWASP ASVS 5.0.0, 6.4.3 asks for 128 bits).
func NewToken() string { return Random(32) }

// IsToken reports whether token has the form of a token from NewToken.
func IsToken(token string) bool { return len(token) == 43 && strings.Trim(token, base64url) == "" }

// Hash returns the SHA-256 of s as 43 base64url characters. It is stored in place of a
// token, or of a text that is counted but must stay unknown.
func Hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// base64url is the alphabet of Random (RFC 4648, section 5).
const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// Clean returns what a person typed without surrounding spaces and in one spelling
// (Unicode NFC), so that equal texts are equal bytes. typed must be valid UTF-8.
func Clean(typed string) string { return norm.NFC.String(strings.TrimSpace(typed)) }

// Breaks reports whether a character would affect the text around it on a page or in a
// log: controls, line and paragraph ends, and marks that change the direction of the
// text that follows.
func Breaks(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

// brailleBlank is a Braille pattern without dots. To Unicode it is a symbol.
const brailleBlank = '\u2800'

// Visible reports whether a character is visible on a page. Blank letters, such as the
// fillers of Hangul, and marks that only choose the form of the character before them
// are not (Unicode, UAX #44, Default_Ignorable_Code_Point).
func Visible(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && r != brailleBlank &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Plain reports whether a text is valid UTF-8 without control characters.
func Plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// Sender is the origin of a request, according to two of its headers.
type Sender struct{ UserAgent, Address string }

// MaxHeaderBytes is the most bytes of a header that are stored.
const MaxHeaderBytes = 400

// Cut returns the sender as stored: as text that cannot affect a page, an email or a
// log line.
func (s Sender) Cut() Sender {
	return Sender{UserAgent: cut(s.UserAgent), Address: cut(s.Address)}
}

// cut returns a prefix of whole characters of a header, at most MaxHeaderBytes long.
func cut(header string) string {
	// In this order: Map would turn each invalid byte into a visible U+FFFD.
	s := strings.Map(func(r rune) rune {
		if Breaks(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(header, ""))
	return strings.ToValidUTF8(s[:min(len(s), MaxHeaderBytes)], "") // without part of a character
}
