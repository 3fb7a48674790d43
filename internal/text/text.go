// Package text owns what is done alike with every short text: making random
// ids, and cleaning what a person or a browser sent. It must not know what any
// of it means.
package text

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// IDBytes is how many random bytes an id that must never repeat or be guessed
// has: 128 bits (OWASP ASVS 5.0.0, 11.5.1).
const IDBytes = 16

// NewID returns 128 random bits as 22 base64url characters.
func NewID() string { return Random(IDBytes) }

// Random returns so many random bytes as base64url.
func Random(bytes int) string {
	random := make([]byte, bytes)
	rand.Read(random) // never fails, never returns short
	return base64.RawURLEncoding.EncodeToString(random)
}

// IsID reports whether NewID could have made id: a query for any other need not
// be asked.
func IsID(id string) bool {
	if len(id) != base64.RawURLEncoding.EncodedLen(IDBytes) {
		return false
	}
	_, err := base64.RawURLEncoding.DecodeString(id)
	return err == nil
}

// Clean returns what a person typed without spaces at its ends and in one
// spelling (Unicode NFC), so that equal texts are equal bytes. It must be valid
// UTF-8.
func Clean(typed string) string { return norm.NFC.String(strings.TrimSpace(typed)) }

// Breaks reports whether a character would break out of the text around it on a
// page or in a log: controls, line and paragraph ends, and the marks that turn
// the direction of what follows.
func Breaks(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

// brailleBlank is a Braille pattern without a dot, a symbol to Unicode.
const brailleBlank = '\u2800'

// Visible reports whether a character leaves a mark on a page. Letters that are
// blank, such as the fillers of Hangul, and marks that only choose the form of
// what they follow are to be ignored where they cannot be shown (Unicode, UAX #44,
// Default_Ignorable_Code_Point).
func Visible(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && r != brailleBlank &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Plain reports whether a text is valid UTF-8 without control characters.
func Plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// Cut returns of a header what is text and no control character, at most max
// bytes and whole characters.
func Cut(header string, max int) string {
	// In this order: Map would make a visible U+FFFD of each byte that is no text.
	s := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(header, ""))
	for len(s) > max {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}
