package main_test

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testprocess"
)

// block is a block of statements in a coverage profile: a file and a first line.
type block struct {
	file string
	line int
}

// TestTheWayOfAGreetingIsAsShortAsDocumented counts our own functions that run for each
// greeting. It compares the coverage of two runs with different numbers of greetings.
// docs/flow.md states the count.
func TestTheWayOfAGreetingIsAsShortAsDocumented(t *testing.T) {
	campaign.Only(t)
	const few, many = 100, 500
	program, err := testprocess.Build(t.TempDir(), "holdfast/cmd/holdfast", "-cover", "-covermode=atomic", "-coverpkg=holdfast/...")
	require.NoError(t, err)
	before, after := coverage(t, program, few), coverage(t, program, many)
	functions := map[string]bool{}
	for b, n := range after {
		if n-before[b] > (many-few)/2 { // ignores an extra heartbeat in one of the runs
			functions[functionOf(t, b)] = true
		}
	}
	text, err := os.ReadFile("../../docs/flow.md")
	require.NoError(t, err)
	stated := regexp.MustCompile(`runs (\d+)\s+functions\s+of\s+our\s+own`).FindStringSubmatch(string(text))
	if stated == nil || stated[1] != strconv.Itoa(len(functions)) {
		names := []string{}
		for name := range functions {
			names = append(names, name)
		}
		slices.Sort(names)
		t.Errorf("a greeting runs %d functions of our own, docs/flow.md states %q:\n%s", len(functions), stated, strings.Join(names, "\n"))
	}
}

// coverage runs a server, requests this many greetings, and returns how often each
// block ran.
func coverage(t *testing.T, program string, greetings int) map[block]int {
	t.Helper()
	folder := t.TempDir()
	settings := services(t)
	settings["LEARN"], settings["GOCOVERDIR"] = "off", folder
	server := testprocess.Start(t, program, t.TempDir(), settings)
	ada := member(t, server)
	for range greetings {
		require.NoError(t, greeted(ada))
	}
	server.Stop()
	profile := filepath.Join(folder, "profile")
	out, err := exec.Command("go", "tool", "covdata", "textfmt", "-i="+folder, "-o="+profile).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, err := os.Open(profile)
	require.NoError(t, err)
	defer file.Close()
	counts := map[block]int{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		var b block
		var column, n int
		if _, err := fmt.Sscanf(rest, "%d.%d", &b.line, &column); err != nil {
			continue // the first line, which is the mode
		}
		b.file = name
		_, err := fmt.Sscan(rest[strings.LastIndexByte(rest, ' ')+1:], &n)
		require.NoError(t, err)
		counts[b] += n
	}
	return counts
}

// functionOf returns the name of the function that a block belongs to.
func functionOf(t *testing.T, b block) string {
	t.Helper()
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, filepath.Join("../..", strings.TrimPrefix(b.file, "holdfast/")), nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	for _, declared := range parsed.Decls {
		f, ok := declared.(*ast.FuncDecl)
		if ok && files.Position(f.Pos()).Line <= b.line && b.line <= files.Position(f.End()).Line {
			return fmt.Sprintf("%s:%d %s", b.file, files.Position(f.Pos()).Line, f.Name.Name)
		}
	}
	t.Fatalf("no function at %v", b)
	return ""
}
