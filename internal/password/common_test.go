package password

import (
	_ "embed"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/trustelem/zxcvbn/frequency"

	"holdfast/internal/dev/require"
)

var update = flag.Bool("update", false, "write common.txt again")

const commonHeader = `# Well-known passwords of eight characters and more, sorted: those of the frequency list
# "passwords" of github.com/trustelem/zxcvbn, under the licence in common.LICENSE.
# Written by: go test ./internal/password -run TestCommonList -update
`

func TestCommonListIsWhatItsSourceSays(t *testing.T) {
	var words []string
	for _, word := range frequency.FrequencyLists["passwords"] {
		if word = strings.ToLower(word); utf8.RuneCountInString(word) >= LeastMinRunes {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	words = slices.Compact(words)
	want := commonHeader + strings.Join(words, "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile("common.txt", []byte(want), 0o644))
		return
	}
	if common != want {
		t.Error("common.txt differs from its source; run this test with -update")
	}
	for _, word := range words {
		if !listed(word) {
			t.Errorf("%q is in the list and not found", word)
		}
	}
	for _, word := range []string{"", "#", "passwor", "passwordd", "\x00", "\U0010ffff", strings.SplitN(commonHeader, "\n", 2)[0]} {
		if listed(word) {
			t.Errorf("%q is not in the list and found", word)
		}
	}
}
