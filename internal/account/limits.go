package account

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"holdfast/internal/text"
)

// MaxNameRunes is the longest name, in code points after NFC.
const MaxNameRunes = 120

// withoutMarks removes the invisible marks that Hebrew and Arabic directories put
// around names: LRM, RLM and ALM.
var withoutMarks = strings.NewReplacer("\u200e", "", "\u200f", "", "\u061c", "")

// cleanName returns a name as it is stored, or what is wrong with it.
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
