package text_test

import (
	"strings"
	"testing"

	"holdfast/internal/text"
)

func TestAnIDIs128RandomBitsAndIsKnownAsOne(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := text.NewID()
		if len(id) != 22 || !text.IsID(id) || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
	for _, other := range []string{"", "short", strings.Repeat("a", 21), strings.Repeat("a", 23), strings.Repeat("+", 22), strings.Repeat("é", 11)} {
		if text.IsID(other) {
			t.Errorf("%q is taken for an id", other)
		}
	}
	token := text.NewToken()
	if len(token) != 43 || !text.IsToken(token) || text.IsToken(text.NewID()) || text.IsToken(token[:42]+"+") {
		t.Errorf("token %q", token)
	}
	if hash := text.Hash("abc"); hash != "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0" { // RFC 6234, section 8.5
		t.Errorf("the hash of abc is %s", hash)
	}
	if n := len(text.Random(12)); n != 16 {
		t.Errorf("12 bytes are %d characters", n)
	}
}

func TestACleanTextHasOneSpelling(t *testing.T) {
	for typed, want := range map[string]string{" Ada\t": "Ada", "cafe\u0301": "caf\u00e9", "\u00a0": "", "a  b": "a  b"} {
		if got := text.Clean(typed); got != want {
			t.Errorf("Clean(%q) is %q, want %q", typed, got, want)
		}
	}
}

func TestCharactersThatBreakOutAreKnown(t *testing.T) {
	for r, want := range map[rune]bool{'\n': true, 0: true, 0x85: true, 0x2028: true, 0x202e: true, 'a': false, ' ': false, 0x0644: false} {
		if text.Breaks(r) != want {
			t.Errorf("Breaks(%U) is not %v", r, want)
		}
	}
	for r, want := range map[rune]bool{
		'a': true, ' ': false, '\u00a0': false, '\u200b': false, '1': true, '\u0301': true, '\u1100': true, '\u2801': true,
		'\u115f': false, '\u1160': false, '\u3164': false, '\uffa0': false, '\u2800': false, '\u034f': false, '\ufe0f': false, '\u17b4': false,
	} {
		if text.Visible(r) != want {
			t.Errorf("Visible(%U) is not %v", r, want)
		}
	}
	for s, want := range map[string]bool{"": true, "a é": true, "a\nb": false, "\xff": false, "\x7f": false} {
		if text.Plain(s) != want {
			t.Errorf("Plain(%q) is not %v", s, want)
		}
	}
}

func TestACutHeaderIsTextOfWholeCharacters(t *testing.T) {
	long := strings.Repeat("a", text.MaxHeaderBytes-1)
	for header, want := range map[string]string{
		long + "bc": long + "b", "a\x00b\nc": "abc", long + "\u00e9": long, "\xffab": "ab", "": "", "a\u2028b\u202ec": "abc",
	} {
		if got := (text.Sender{UserAgent: header, Address: header}).Cut(); got != (text.Sender{UserAgent: want, Address: want}) {
			t.Errorf("%q is cut to %q, want %q", header, got, want)
		}
	}
}
