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

// rows are the orders in which fingers and memory run: digits, letters, and
// the rows and columns of the usual keyboards (QWERTY, QWERTZ, AZERTY).
const rows = "01234567890 abcdefghijklmnopqrstuvwxyz !@#$%^&*() " +
	"qwertyuiop[] asdfghjkl;' zxcvbnm,./ qwertzuiopü asdfghjklöä yxcvbnm,.- azertyuiop qsdfghjklm wxcvbn " +
	"1qaz 2wsx 3edc 4rfv 5tgb 6yhn 7ujm 8ik, 9ol. 0p;/"

const (
	maxPatternRunes = 4 // a repeated unit up to this length adds nothing to guess
	minRunRunes     = 3 // fewer neighbours in a row are chance, not a sequence
)

// patterned says whether a password is one short unit over and over, or is
// filled by runs of neighbours (of one row, up or down) and of equal runes.
func patterned(folded string) bool {
	runes := []rune(folded)
	return len(repeatedUnit(runes)) <= maxPatternRunes || filledByRuns(runes)
}

// repeatedUnit returns the shortest unit whose repetition, the last one
// perhaps cut short, gives the whole.
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

// mostlyOf says whether at least half of a password is made of the given
// texts or of their words. Terms under three runes are left out: they turn up
// in any phrase.
func mostlyOf(folded string, texts []string) bool {
	var terms []string
	for _, text := range texts {
		text = strings.ToLower(norm.NFC.String(strings.TrimSpace(text)))
		words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
		local, _, _ := strings.Cut(text, "@")
		terms = append(terms, text, local, strings.Join(words, ""))
		terms = append(terms, words...)
	}
	// Longest first, so that a word inside a longer term does not break it up.
	slices.SortFunc(terms, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	rest := folded
	for _, term := range terms {
		if utf8.RuneCountInString(term) >= 3 {
			rest = strings.ReplaceAll(rest, term, "")
		}
	}
	return 2*utf8.RuneCountInString(rest) <= utf8.RuneCountInString(folded)
}

// common holds well-known passwords of legal length, lower-case, sorted, one a
// line after its header, which says where they come from.
//
//go:embed common.txt
var common string

// wellKnown says whether a password is on the list, or is a listed one said
// several times, or is one with digits and signs around it that make up less
// than half.
func wellKnown(folded string) bool {
	runes := []rune(folded)
	core := strings.TrimFunc(folded, func(r rune) bool { return !unicode.IsLetter(r) })
	return listed(folded) || listed(string(repeatedUnit(runes))) ||
		2*utf8.RuneCountInString(core) >= len(runes) && listed(core)
}

// famous holds well-known phrases, lower-case and without spaces and signs, one a line
// after its header.
//
//go:embed famous.txt
var famous string

// aPhrase says whether a password is a famous phrase, however its words are separated.
func aPhrase(folded string) bool {
	squeezed := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			return r
		}
		return -1
	}, folded)
	return strings.Contains(famous, "\n"+squeezed+"\n")
}

// listed looks a word up by halving the text itself, which needs no table in
// memory beside it.
func listed(word string) bool {
	if word == "" || strings.ContainsAny(word, "#\n") {
		return false
	}
	low, high := 0, len(common)
	for low < high {
		start := strings.LastIndexByte(common[:(low+high)/2], '\n') + 1
		line, _, _ := strings.Cut(common[start:], "\n")
		switch {
		case line == word:
			return true
		case line < word || strings.HasPrefix(line, "#"):
			low = start + len(line) + 1
		default:
			high = start
		}
	}
	return false
}
