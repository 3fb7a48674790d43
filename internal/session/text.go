package session

import (
	"crypto/rand"
	"strings"
	"unicode"
	"unicode/utf8"
)

// newID returns 80 random bits as text, for things that are named but secret
// to nobody. It has letters and digits only: an operator types it after a flag,
// and a dash in front would look like another one.
func newID() string { return rand.Text()[:16] }

// isText reports whether text is valid UTF-8 and free of control characters.
func isText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// cut returns at most max bytes of a header, and only what is text in it.
func cut(header string, max int) string {
	text := strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, header), "")
	for len(text) > max {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}
