package password

import (
	"cmp"
	_ "embed"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// rows are the orders that fingers and memory follow: digits, letters, and the rows and
// columns of the usual keyboards (QWERTY, QWERTZ, AZERTY).
const rows = "01234567890 abcdefghijklmnopqrstuvwxyz !@#$%^&*() " +
	"qwertyuiop[] asdfghjkl;' zxcvbnm,./ qwertzuiopü asdfghjklöä yxcvbnm,.- azertyuiop qsdfghjklm wxcvbn " +
	"1qaz 2wsx 3edc 4rfv 5tgb 6yhn 7ujm 8ik, 9ol. 0p;/"

const (
	maxPatternRunes = 4 // a repeated unit up to this length makes guessing no harder
	minRunRunes     = 3 // fewer neighbours are chance, not a sequence
)

// patterned reports whether a password repeats one short unit, or consists of runs of
// neighbours (in one row, in either direction) and of equal runes.
func patterned(folded string) bool {
	runes := []rune(folded)
	return len(repeatedUnit(runes)) <= maxPatternRunes || filledByRuns(runes)
}

// repeatedUnit returns the shortest unit whose repetition gives all of the runes. The
// last repetition may be cut short.
func repeatedUnit(runes []rune) []rune {
	for n := 1; n < len(runes); n++ {
		if slices.Equal(runes[n:], runes[:len(runes)-n]) {
			return runes[:n]
		}
	}
	return runes
}

func filledByRuns(runes []rune) bool {
	for start := 0; start < len(runes); {
		end := max(runEnd(runes, start, same), runEnd(runes, start, follows), runEnd(runes, start, precedes))
		if end-start < minRunRunes {
			return false
		}
		start = end
	}
	return true
}

func runEnd(runes []rune, start int, neighbour func(a, b rune) bool) int {
	end := start + 1
	for end < len(runes) && neighbour(runes[end-1], runes[end]) {
		end++
	}
	return end
}

func same(a, b rune) bool     { return a == b }
func precedes(a, b rune) bool { return follows(b, a) }
func follows(a, b rune) bool {
	return a != ' ' && b != ' ' && strings.Contains(rows, string([]rune{a, b}))
}

// mostlyOf reports whether at least half of a password consists of the given texts or
// their words. It ignores terms shorter than three runes, which occur in any phrase.
func mostlyOf(folded string, texts []string) bool {
	var terms []string
	for _, text := range texts {
		text = strings.ToLower(norm.NFC.String(strings.TrimSpace(text)))
		words := wordsOf(text)
		local, _, _ := strings.Cut(text, "@")
		terms = append(terms, text, local, strings.Join(words, ""))
		terms = append(terms, words...)
	}
	// Longest first, so that a shorter word does not break up a longer term that
	// contains it.
	slices.SortFunc(terms, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	rest := folded
	for _, term := range terms {
		if utf8.RuneCountInString(term) >= 3 {
			rest = strings.ReplaceAll(rest, term, "")
		}
	}
	return 2*utf8.RuneCountInString(rest) <= utf8.RuneCountInString(folded)
}

// wordsOf returns the parts of a text that consist of letters and digits.
func wordsOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
}

// common holds well-known passwords of valid length, in lower case, sorted, one per
// line after a header that names their source. The text itself is searched, so that no
// second table is in memory: that takes far less time than the hash that follows.
//
//go:embed common.txt
var common string

// wellKnown reports whether a password is on the list, repeats a listed password, or is
// a listed one surrounded by digits and signs that make up less than half of it.
func wellKnown(folded string) bool {
	runes := []rune(folded)
	core := strings.TrimFunc(folded, func(r rune) bool { return !unicode.IsLetter(r) })
	return listed(folded) || listed(string(repeatedUnit(runes))) ||
		2*utf8.RuneCountInString(core) >= len(runes) && listed(core)
}

func listed(word string) bool { return strings.Contains(common, "\n"+word+"\n") }

// famous holds well-known phrases, in lower case and without spaces and signs, one per
// line after a header.
//
//go:embed famous.txt
var famous string

// aPhrase reports whether a password is a famous phrase, however its words are
// separated.
func aPhrase(folded string) bool {
	return strings.Contains(famous, "\n"+strings.Join(wordsOf(folded), "")+"\n")
}
