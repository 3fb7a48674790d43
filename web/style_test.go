package web

import (
	"io/fs"
	"maps"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/static"
)

func readStyle(t *testing.T, part string) string {
	t.Helper()
	sheet, err := fs.ReadFile(static.FS, "css/"+part+".css")
	require.NoError(t, err)
	return string(sheet)
}

func TestColoursAreNamedInOneFile(t *testing.T) {
	t.Parallel()
	colour := regexp.MustCompile(`#[0-9a-fA-F]{3,8}\b|\b(rgb|hsl|oklch|lab)a?\(`)
	for _, part := range styleSheetParts() {
		if found := colour.FindString(readStyle(t, part)); found != "" && part != "roles" {
			t.Errorf("%s.css names the colour %s; give it a role in roles.css", part, found)
		}
	}
}

// A browser silently drops a rule that it cannot parse.
func TestEveryLineOfAStyleSheetIsPartOfARule(t *testing.T) {
	t.Parallel()
	comment := regexp.MustCompile(`(?s)/\*.*?\*/`)
	for _, part := range styleSheetParts() {
		for line := range strings.Lines(comment.ReplaceAllString(readStyle(t, part), "")) {
			if line = strings.TrimSpace(line); line != "" && !strings.ContainsAny(line[len(line)-1:], "{},;") {
				t.Errorf("%s.css: %q is no part of a rule", part, line)
			}
		}
	}
}

func TestTheSheetThatBrowsersGetHasTheLicenceAndNoOtherComment(t *testing.T) {
	t.Parallel()
	sheet, err := joinStyleSheets(static.FS)
	require.NoError(t, err)
	found := regexp.MustCompile(`(?s)/\*.*?\*/`).FindAllString(string(sheet), -1)
	if len(found) != 1 || !strings.Contains(found[0], "SIL Open Font License") {
		t.Errorf("comments %q", found)
	}
}

// All form fields look alike, whatever their element.
func TestWhatHoldsForAnInputHoldsForATextarea(t *testing.T) {
	t.Parallel()
	input := regexp.MustCompile(`\binput\b`)
	for _, part := range styleSheetParts() {
		for _, rule := range regexp.MustCompile(`(?m)^[^{}\n]*\{`).FindAllString(readStyle(t, part), -1) {
			special := strings.Contains(rule, ".check") || strings.Contains(rule, ".with-show") // checkboxes and passwords
			if input.MatchString(rule) && !strings.Contains(rule, "textarea") && !special {
				t.Errorf("%s.css: the rule %q leaves textarea out", part, rule)
			}
		}
	}
}

func TestEveryRoleThatIsUsedIsGiven(t *testing.T) {
	t.Parallel()
	given := map[string]bool{}
	all := ""
	for _, part := range styleSheetParts() {
		all += readStyle(t, part)
	}
	for _, role := range regexp.MustCompile(`(--[a-z-]+):`).FindAllStringSubmatch(all, -1) {
		given[role[1]] = true
	}
	for _, use := range regexp.MustCompile(`var\((--[a-z-]+)\)`).FindAllStringSubmatch(all, -1) {
		if !given[use[1]] {
			t.Errorf("%s is used and not given", use[1])
		}
	}
}

// TestTextCanBeReadOnEveryGround checks WCAG 2.2, 1.4.3 (text, 4.5:1) and 1.4.11 (edges
// of fields, 3:1).
func TestTextCanBeReadOnEveryGround(t *testing.T) {
	t.Parallel()
	light, dark := themes(t)
	for theme, colours := range map[string]map[string]string{"light": light, "dark": dark} {
		for _, pair := range []struct {
			front, grounds string
			least          float64
		}{
			{"text", "ground raised sunken soft danger-soft", 7},
			{"muted", "ground raised sunken", 4.5},
			{"accent", "ground raised sunken soft", 4.5},
			{"accent-strong", "ground raised sunken", 4.5},
			{"danger", "ground raised danger-soft", 4.5},
			{"on-accent", "accent accent-strong", 4.5},
			{"on-rock", "rock", 4.5},
			{"edge", "ground raised", 3},
		} {
			for _, ground := range strings.Fields(pair.grounds) {
				if got := contrast(t, colours[pair.front], colours[ground]); got < pair.least {
					t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", theme, pair.front, ground, got, pair.least)
				}
			}
		}
	}
}

// themes returns the colours in roles.css, by role.
func themes(t *testing.T) (light, dark map[string]string) {
	t.Helper()
	inLight, rest, found := strings.Cut(readStyle(t, "roles"), "@media (prefers-color-scheme: dark)")
	if !found {
		t.Fatal("roles.css has no dark theme")
	}
	inDark, _, _ := strings.Cut(rest, "@media")
	read := func(css string) map[string]string {
		colours := map[string]string{}
		for _, role := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(css, -1) {
			colours[role[1]] = role[2]
		}
		return colours
	}
	light = read(inLight)
	dark = maps.Clone(light)
	maps.Copy(dark, read(inDark))
	return light, dark
}

// contrast returns the WCAG 2.2 contrast ratio, from 1 to 21.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	la, lb := luminance(t, a), luminance(t, b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	rgb, err := strconv.ParseUint(strings.TrimPrefix(hex, "#"), 16, 24)
	if err != nil {
		t.Fatalf("colour %q: %v", hex, err)
	}
	linear := func(channel uint64) float64 {
		c := float64(channel&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(rgb>>16) + 0.7152*linear(rgb>>8) + 0.0722*linear(rgb)
}
