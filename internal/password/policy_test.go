package password_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"holdfast/internal/dev/require"
	"holdfast/internal/password"
	"holdfast/internal/product"
)

// refusal returns why a password is refused, or "" if it is accepted.
func refusal(t *testing.T, p password.Policy, pass string, about ...string) string {
	t.Helper()
	err := p.Check(pass, about...)
	if err == nil {
		return ""
	}
	var weak *password.Weak
	if !errors.As(err, &weak) || weak.Reason == "" || weak.Error() != weak.Reason {
		t.Fatalf("%q: %#v is no *Weak with a reason", pass, err)
	}
	if strings.Contains(weak.Reason, pass) && len(pass) > len("password") {
		t.Errorf("%q: the reason %q says the password", pass, weak.Reason)
	}
	return weak.Reason
}

func TestPolicyAcceptsAnythingHardToGuess(t *testing.T) {
	for _, pass := range []string{
		"correct otter battery anchor",
		"to be or not to be an otter in a kelp forest", // part of it is famous
		"nur ein paar Wörter hier",
		"314159265358979",                    // digits only
		"qjz vw kxbh ftp",                    // fifteen, letters and spaces
		"潮間帶的海帶緊緊抓住岩石不放手",                    // fifteen, no letter case
		"🐙🪸🌊🦀🐚🐟🐠🐡🦑🦐🦞🐳🐋🐬🦭",                    // fifteen emoji
		"kelp, rock & one more tide",         // signs
		strings.Repeat("tide and kelp ", 73), // 1,022 bytes
		"ada likes long walks by the sea",    // contains the name, which is a small part
		"the password of a kelp forest",      // contains a well-known word
		"...Password!!!2024",                 // the well-known word is eight of eighteen
		"  leading and trailing  ",
	} {
		if reason := refusal(t, password.Policy{}, pass, "Ada Lovelace", "ada@example.org"); reason != "" {
			t.Errorf("%q refused: %s", pass, reason)
		}
	}
}

func TestPolicyRefusesWithAReason(t *testing.T) {
	about := []string{"Ada Lovelace", "Countess.of@Example.org"}
	for _, c := range []struct{ pass, reason string }{
		{"", "Enter a password"},
		{"fourteen runes", "You entered 14"},
		{"qjz vw kxbh é", "You entered 13"},
		{"qjz vw kxbh fe\u0301", "You entered 14"}, // fifteen code points as sent, fourteen in NFC
		{"🐙🪸🌊🦀🐚🐟🐠🐡🦑🦐🦞🐳🐋🐬", "You entered 14"},
		{strings.Repeat("tide and kelp ", 73) + "abc", "1,024 bytes or fewer"}, // 1,025 bytes
		{strings.Repeat("潮", 342), "1,024 bytes or fewer"},
		{"a nice long one\x00", "characters we can’t read"},
		{"a nice long one\xff", "characters we can’t read"},

		{strings.Repeat("a", 15), "sequence"},
		{strings.Repeat(" ", 20), "sequence"},
		{strings.Repeat("🐙", 15), "sequence"},
		{strings.Repeat("ab", 8), "sequence"},
		{"AbAbAbAbAbAbAbA", "sequence"}, // neither case nor a cut end matters
		{strings.Repeat("kelp", 4), "sequence"},
		{"abcdefghijklmno", "sequence"},
		{"ONMLKJIHGFEDCBA", "sequence"},
		{"123456789012345", "sequence"},
		{"098765432109876", "sequence"},
		{"qwertyuiopasdfghjkl", "sequence"},
		{"qwertzuiopasdfgh", "sequence"},
		{"azertyuiopqsdfgh", "sequence"},
		{"poiuytrewq54321", "sequence"},
		{"1qaz2wsx3edc4rfv", "sequence"},
		{"aaaaabbbbbccccc", "sequence"},
		{"abc123abc123abc123", "sequence"},

		{"Ada Lovelace 1815", "your name"},
		{"adalovelace1815", "your name"},
		{"LOVELACE-lovelace", "your name"},
		{"1815 ecal ada lovelace", "your name"}, // twelve of twenty-two
		{"countess.of@example.org", "your name"},
		{"countess.of!2024!", "your name"},
		{strings.Repeat(product.Slug, 15) + "1234567", "name of this site"},
		{strings.Repeat(strings.ToUpper(product.Slug)+"-", 8) + product.Name, "name of this site"},

		{"polniypizdec0211", "first passwords anyone would guess"},
		{"NemvXyhEqdd5oQxyXyzi", "first passwords anyone would guess"},
		{"password1234567", "first passwords anyone would guess"},
		{"baseballbaseball", "first passwords anyone would guess"},
		{"correct horse battery staple", "first passwords anyone would guess"},
		{"Correct-Horse-Battery-Staple!", "first passwords anyone would guess"},
		{"May the Force be with you!", "first passwords anyone would guess"},
	} {
		reason := refusal(t, password.Policy{}, c.pass, about...)
		if !strings.Contains(reason, c.reason) {
			t.Errorf("%q: reason %q, want one with %q", c.pass, reason, c.reason)
		}
		if reason != "" && !strings.HasSuffix(reason, ".") {
			t.Errorf("%q: reason %q is no sentence", c.pass, reason)
		}
	}
}

func TestPolicyMinimumMayBeSetDownToEight(t *testing.T) {
	for _, c := range []struct {
		min  int
		pass string
		ok   bool
	}{
		{8, "7glo+roc", true},
		{8, "7glo+ro", false},
		{0, "kelp and a rock", true},
		{0, "kelp and a roc", false},
		{3, "7glo+ro", false}, // eight is the lowest minimum
		{20, "kelp and a rock and", false},
		{20, "kelp and a rock and.", true},
		{8, "password", false},
		{8, "Trustno1", false},
		{8, "Baseball", false},
		{8, "12345678", false},
		{8, "87654321", false},
		{8, strings.Repeat(product.Slug, 8), false},
	} {
		if got := refusal(t, password.Policy{MinRunes: c.min}, c.pass) == ""; got != c.ok {
			t.Errorf("%q with a minimum of %d: accepted %v", c.pass, c.min, got)
		}
	}
}

func TestPolicyTakesNoWordsAboutNobody(t *testing.T) {
	for _, about := range [][]string{nil, {""}, {"", ""}, {"  "}, {"@"}, {"é"}, {"\xff"}} {
		if reason := refusal(t, password.Policy{}, "correct horse battery", about...); reason != "" {
			t.Errorf("about %q: %s", about, reason)
		}
	}
}

// Every input must get a quick answer: a password must not make sign-up hang.
func FuzzPolicy(f *testing.F) {
	for _, seed := range []string{"", "a", "aaaaaaaaaaaaaaa", "abcabcabcabcabcabc", "#", "\xff\x00", "é", "password\n", "\u0344JJ\u0344\u0344\u0344J\u0344\u0344"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, pass, about string) {
		reason := refusal(t, password.Policy{}, pass, about)
		if reason == "" && (!utf8.ValidString(pass) || len(pass) > password.MaxBytes || utf8.RuneCountInString(norm.NFC.String(pass)) < 15) {
			t.Errorf("%q accepted", pass)
		}
		if reason == "" && !password.Hashable(pass) {
			t.Errorf("%q accepted but not hashable", pass)
		}
	})
}

func BenchmarkPolicy(b *testing.B) {
	pass := strings.Repeat("tide and kelp ", 73)
	for b.Loop() {
		require.NoError(b, (password.Policy{}).Check(pass, "Ada Lovelace", "ada@example.org"))
	}
}
