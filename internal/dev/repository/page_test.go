package repository_test

import (
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/repository"
	"holdfast/internal/dev/require"
)

// mostFiles is how many files a page may add or change, its migrations and tests
// included.
const mostFiles = 11

// TestThePageOfTheDocumentsCanBeAdded takes all steps and checks that the result
// compiles. The campaign also runs its tests, which takes about 25 s on an idle
// machine, most of it for building the copy and linking its tests.
func TestThePageOfTheDocumentsCanBeAdded(t *testing.T) {
	if testing.Short() {
		t.Skip("copies the repository, which is not short")
	}
	top := repository.Copy(t)
	steps := readWalk(t, filepath.Join(top, "docs", "adding-a-page.md"))
	registered := slices.IndexFunc(steps, func(s step) bool { return strings.HasPrefix(s.section, "6.") })
	if len(steps) < 10 || registered < 0 {
		t.Fatalf("docs/adding-a-page.md has %d steps", len(steps))
	}
	var files []string
	take := func(steps []step) {
		t.Helper()
		for _, s := range steps {
			files = append(files, s.take(t, top))
		}
	}
	take(steps[:registered])
	t.Run("the tests say what they miss", func(t *testing.T) {
		campaign.Only(t)
		said, err := repository.Try(t, top, "test", "-count=1", "./web", "-run", "TestEveryRoute|TestEveryPageIsWhole")
		if err == nil {
			t.Error("the tests pass although the page is not registered with them")
		}
		for _, place := range []string{
			"rows in web/matrix_test.go", "samplePages in web/render_test.go",
		} {
			if !strings.Contains(said, place) {
				t.Errorf("the tests do not say that something is missing in %s", place)
			}
		}
		if t.Failed() {
			t.Log(said)
		}
	})
	take(steps[registered:])
	if touched := len(slices.Compact(slices.Sorted(slices.Values(files)))); touched > mostFiles {
		t.Errorf("adding a page touches %d files, want at most %d", touched, mostFiles)
	}
	t.Run("it compiles", func(t *testing.T) {
		repository.CompileInPlace(t, top, files, "./web", "./internal/database", "./internal/dev/architecture", "./cmd/holdfast")
	})
	t.Run("it passes its tests", func(t *testing.T) {
		campaign.Only(t)
		repository.Go(t, top, "vet", "./...")
		repository.Go(t, top, "test", "-count=1", "./internal/dev/architecture")
		repository.Go(t, top, "test", "-count=1", "./internal/database", "-run", "TestDeletingAPerson|SameTables|SameSteps")
		repository.Go(t, top, "test", "-count=1", "./web", "-run", "Note|Route|Form|ABody|Page|Header|HEAD|Links|GET|WhatIsWrong|Textarea")
	})
}

// step is one block of the document: a new file, or a change to an existing one.
type step struct {
	section, file string
	change        bool
	lines         []string
}

var (
	heading = regexp.MustCompile(`^## (.*)$`)
	named   = regexp.MustCompile(`^\*\*(\S+)\*\*$`)
	fence   = regexp.MustCompile("^```(go|sql|html|diff)$")
)

// readWalk reads the blocks of a document that follow the name of a file.
func readWalk(t *testing.T, document string) []step {
	t.Helper()
	text, err := os.ReadFile(document)
	require.NoError(t, err)
	var steps []step
	var now step
	inside := false
	for line := range strings.SplitSeq(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n") {
		switch found := fence.FindStringSubmatch(line); {
		case inside && line == "```":
			steps, inside = append(steps, now), false
		case inside:
			now.lines = append(now.lines, line)
		case found != nil:
			now.change, now.lines, inside = found[1] == "diff", nil, true
		case heading.MatchString(line):
			now = step{section: heading.FindStringSubmatch(line)[1]}
		case named.MatchString(line):
			now.file = named.FindStringSubmatch(line)[1]
		}
	}
	return steps
}

// take applies the step to a copy of the repository, and returns the file that it
// wrote.
func (s step) take(t *testing.T, top string) string {
	t.Helper()
	if s.file == "" {
		t.Fatalf("a block of section %q has no file", s.section)
	}
	at := filepath.Join(top, filepath.FromSlash(s.file))
	lines := s.lines
	if s.change {
		text, err := os.ReadFile(at)
		require.NoError(t, err)
		if lines, err = changed(strings.Split(string(text), "\n"), s.lines); err != nil {
			t.Fatalf("%s: %v", s.file, err)
		}
	} else {
		at = numbered(t, at)
		if _, err := os.Stat(at); err == nil {
			t.Fatalf("%s is there already", s.file)
		}
		lines = append(lines, "")
	}
	text := []byte(strings.Join(lines, "\n"))
	if filepath.Ext(at) == ".go" {
		formatted, err := format.Source(text)
		if err != nil {
			t.Fatalf("%s: %v", s.file, err)
		}
		if string(formatted) != string(text) {
			t.Errorf("%s is not formatted after a step of section %q", s.file, s.section)
		}
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
	require.NoError(t, os.WriteFile(at, text, 0o644))
	return at
}

// numbered replaces NNNNN in a migration's name with the next number.
func numbered(t *testing.T, at string) string {
	t.Helper()
	if !strings.Contains(at, "NNNNN") {
		return at
	}
	there, err := filepath.Glob(filepath.Join(filepath.Dir(at), "*.sql"))
	if err != nil || len(there) == 0 {
		t.Fatalf("no migrations beside %s: %v", at, err)
	}
	last := 0
	if _, err := fmt.Sscanf(filepath.Base(slices.Max(there)), "%d_", &last); err != nil {
		t.Fatal(err)
	}
	return strings.Replace(at, "NNNNN", fmt.Sprintf("%05d", last+1), 1)
}

// changed applies a change without line numbers: its lines that begin with a space or a
// minus must occur together, in exactly one place. Spaces do not count, because gofmt
// realigns neighbouring lines.
func changed(text, change []string) ([]string, error) {
	var old []string
	for _, line := range change {
		if line != "" && line[0] != '+' {
			old = append(old, line[1:])
		}
	}
	same := func(a, b string) bool {
		return strings.Join(strings.Fields(a), "") == strings.Join(strings.Fields(b), "")
	}
	found := -1
	for at := range len(text) - len(old) + 1 {
		if slices.EqualFunc(text[at:at+len(old)], old, same) {
			if found >= 0 {
				return nil, fmt.Errorf("these lines stand in two places:\n%s", strings.Join(old, "\n"))
			}
			found = at
		}
	}
	if found < 0 {
		return nil, fmt.Errorf("these lines stand nowhere:\n%s", strings.Join(old, "\n"))
	}
	var with []string
	at := found
	for _, line := range change {
		switch {
		case line == "":
		case line[0] == '+':
			with = append(with, line[1:])
		case line[0] == '-':
			at++
		default:
			with = append(with, text[at])
			at++
		}
	}
	return slices.Concat(text[:found], with, text[at:]), nil
}
