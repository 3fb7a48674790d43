package account_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"holdfast/internal/account"
	"holdfast/internal/dev/campaign"
	"holdfast/internal/form"
	"holdfast/internal/text"
)

// problem registers with a valid password and returns the message for one field, or ""
// if registration succeeded.
func problem(t *testing.T, s *account.Service, field string, r account.Registration) string {
	t.Helper()
	r.Password = right
	_, err := s.Register(t.Context(), r)
	if err == nil {
		return ""
	}
	problems, ok := errors.AsType[form.Errors](err)
	if !ok || len(problems) != 1 || problems.Of(field) == "" {
		t.Fatalf("%q: %v, which is not one message for %s", r, err, field)
	}
	message := problems.Of(field)
	if !strings.HasSuffix(message, ".") || !utf8.ValidString(message) {
		t.Errorf("%q: the message %q is no sentence", r, message)
	}
	return message
}

func TestNamesThatAreRefused(t *testing.T) {
	s := serve(nil) // no call reaches a store
	for _, name := range []string{
		"", " ", "\t\n", "\u00a0\u3000", // empty
		"\u200b", "\u200b\u2060\ufeff", // nothing visible
		"\u3164", "\u2800\u2800", "\u115f\u1160", "\uffa0", "\u034f\ufe0f",
		"a\x00b", "\x00", "a\xffb", "\xed\xa0\x80", // not text
		"a\nb", "a\rb", "a\tb", "a\x1b[31mb", "a\x7fb", "a\u0085b", "a\u2028b", "a\u2029b", // would break a line
		"a\u202eb", "a\u2066b\u2069", // would reverse the text that follows
		strings.Repeat("a", account.MaxNameRunes+1), strings.Repeat("🪸", account.MaxNameRunes+1), strings.Repeat("a", 1<<20),
	} {
		if problem(t, s, "name", account.Registration{Name: name, Email: "ada@example.org"}) == "" {
			t.Errorf("%.40q accepted", name)
		}
	}
}

// TestNamesAreTakenAsTheyAreCopied checks that names can be copied from directories in
// Hebrew and Arabic.
func TestNamesAreTakenAsTheyAreCopied(t *testing.T) {
	t.Parallel()
	ada := register(t, serve(onSQLite(t)), "\ufeff\u200f\u05d3\u05e0\u05d4\u200e \u05dc\u061c", "ada@example.org")
	if ada.Name != "\u05d3\u05e0\u05d4 \u05dc" {
		t.Errorf("the name is %q", ada.Name)
	}
}

func TestAddressesThatAreRefused(t *testing.T) {
	s := serve(nil) // no call reaches a store
	for _, email := range []string{
		"", " ", "ada", "@", "ada@", "@example.org", "a@b@c", "ada@@example.org",
		"ada lovelace@example.org", "ada@exa mple.org", "ada@example\u00a0.org",
		"ada\x00@example.org", "ada\xff@example.org", "ada\n@example.org", "a\r\nBcc: b@example.org",
		"ada\x1b@example.org", "ada\u202e@example.org", "ada\u200b@example.org", "ada\u00ad@example.org",
		strings.Repeat("a", 243) + "@example.org",     // 255 bytes
		strings.Repeat("\u023a", 90) + "@example.org", // 192 bytes, 282 in lower case
		strings.Repeat("a", 1<<20) + "@example.org",
	} {
		if problem(t, s, "email", account.Registration{Name: "Ada", Email: email}) == "" {
			t.Errorf("%.40q accepted", email)
		}
	}
}

func TestNamesAndAddressesThatAreAccepted(t *testing.T) {
	onBoth(t, func(t *testing.T, store account.Store) {
		s := serve(store)
		for _, r := range []account.Registration{
			{Name: "A", Email: "a@b"},
			{Name: strings.Repeat("🪸", account.MaxNameRunes), Email: strings.Repeat("a", 242) + "@example.org"}, // 254 bytes
			{Name: strings.Repeat("e\u0301", account.MaxNameRunes), Email: "tag+more@example.org"},              // as many after NFC
			{Name: "عائشة", Email: "عائشة@example.org"},
			{Name: "क्षत्रिय", Email: "o'brien@example.org"},
			{Name: "👩\u200d🔬 Marie", Email: "a..b@docomo.ne.jp"}, // a joiner inside an emoji
			{Name: "<script>alert(1)</script>", Email: "'b'@b\u00fccher.example"},
			{Name: "'; DROP TABLE people; --", Email: "{{.}}@example.org"},
			{Name: "\ufffd", Email: "\u0130stanbul@example.org"},
		} {
			if message := problem(t, s, "", r); message != "" {
				t.Errorf("%q: %s", r, message)
			}
			got, err := s.FindByEmail(t.Context(), r.Email)
			if err != nil || got.Email != r.Email {
				t.Errorf("%q: found %+v, %v", r, got, err)
			}
		}
	})
}

// nextRune returns how far the next code point to try is: make campaign tries all of
// them, and make test about one in eight, others each time.
func nextRune() rune { return 1 + rand.N(rune(campaign.Number(15, 1))) }

// TestTheKeyOfAKeyIsItself: an email may hold only its recipient's key, and must find
// the recipient by it.
func TestTheKeyOfAKeyIsItself(t *testing.T) {
	t.Parallel()
	for r := rune(0); r <= unicode.MaxRune; r += nextRune() {
		if !unicode.IsLetter(r) && !unicode.IsMark(r) {
			continue
		}
		for _, email := range []string{string(r) + "@a", "A" + string(r) + "\u0307@a", "a@a" + string(r) + "\u0307"} {
			key, ok := account.EmailKey(email)
			if !ok || key == email {
				continue
			}
			if again, ok := account.EmailKey(key); !ok || again != key {
				t.Errorf("%+q has the key %+q, and that has %+q", email, key, again)
			}
		}
	}
}

// TestNoAddressOutsideOfASCIISharesAKeyWithOneInIt: they are two mailboxes. Characters
// that Unicode treats as the same as an ASCII one, such as the Kelvin sign, are
// replaced from the start, also in the address that email is sent to. All spellings of
// a domain are one domain, and email goes to the spelling in the key.
func TestNoAddressOutsideOfASCIISharesAKeyWithOneInIt(t *testing.T) {
	t.Parallel()
	ascii := func(s string) bool {
		return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
	}
	for r := rune(unicode.MaxASCII + 1); r <= unicode.MaxRune; r += nextRune() {
		if !unicode.IsGraphic(r) { // refused, or without a lower-case or alternative form
			continue
		}
		inDomain := "a@" + string(r) + "a"
		others := []string{"a" + string(r) + "@a", "I" + string(r) + "@a"}
		if a, problem := account.ParseAddress(inDomain); problem != "" {
			others = append(others, inDomain)
		} else if !strings.EqualFold(a.Wire, a.Key) {
			t.Errorf("%+q has the key %q, and email to it goes to %q", inDomain, a.Key, a.Wire)
		}
		for _, email := range others {
			if key, ok := account.EmailKey(email); ok && ascii(key) && !ascii(text.Clean(email)) {
				t.Errorf("%+q has the key %q", email, key)
			}
		}
	}
	for email, want := range map[string]string{
		"\u0130x@example.org": "\u0130x@example.org", "I\u0307x@example.org": "\u0130x@example.org", "\u0131x@example.org": "\u0131x@example.org",
		"\u212a@example.org": "k@example.org", "\u017f@example.org": "\u017f@example.org",
		"\u212b@example.org": "\u00e5@example.org", "\u2126@example.org": "\u03c9@example.org", "\u00c9@Example.org": "\u00e9@example.org",
	} {
		if key, _ := account.EmailKey(email); key != want {
			t.Errorf("%+q has the key %+q, want %+q", email, key, want)
		}
	}
}

func TestTwoMailboxesHaveTwoAccounts(t *testing.T) {
	onBoth(t, func(t *testing.T, store account.Store) {
		s := serve(store)
		other, ascii := register(t, s, "Eve", "\u0130ris@example.org"), register(t, s, "Iris", "iris@example.org")
		for _, want := range []account.Person{other, ascii} {
			if got, err := s.FindByEmail(t.Context(), want.Email); err != nil || got.ID != want.ID {
				t.Errorf("%+q: %+v, %v", want.Email, got, err)
			}
		}
	})
}
