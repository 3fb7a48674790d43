package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
)

// reach is how much of a test "make test" runs.
type reach int

const (
	wholly   reach = iota
	partly         // the campaign checks more
	campaign       // nothing: the test is skipped
)

// testFuncs holds the functions in the tests of one package, by name. A method is
// listed under its own name, without its receiver.
type testFuncs map[string][]*ast.FuncDecl

// reaches returns the reach of each test of the module, by name. It looks for calls
// of package campaign, in the test itself and in the functions of its package that
// it calls.
func reaches(t *testing.T) map[string]reach {
	t.Helper()
	packages := map[string]testFuncs{}
	for _, folder := range []string{"cmd", "web", "internal"} {
		walk(t, folder, func(name string) {
			if !strings.HasSuffix(name, "_test.go") {
				return
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, read(t, name), parser.SkipObjectResolution)
			require.NoError(t, err)
			funcs := packages[path.Dir(name)]
			if funcs == nil {
				funcs = testFuncs{}
				packages[path.Dir(name)] = funcs
			}
			for _, declared := range file.Decls {
				if f, ok := declared.(*ast.FuncDecl); ok && f.Body != nil {
					funcs[f.Name.Name] = append(funcs[f.Name.Name], f)
				}
			}
		})
	}
	all := map[string]reach{}
	for _, funcs := range packages {
		for name := range funcs {
			if strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz") {
				all[name] = max(all[name], funcs.reach(name, map[string]bool{}))
			}
		}
	}
	return all
}

// reach returns campaign if a statement of the function itself calls campaign.Only, and
// partly if there is any other call of package campaign.
func (funcs testFuncs) reach(name string, seen map[string]bool) reach {
	if seen[name] {
		return wholly
	}
	seen[name] = true
	found := wholly
	for _, f := range funcs[name] {
		for _, statement := range f.Body.List {
			ast.Inspect(statement, func(node ast.Node) bool {
				call, ok := node.(*ast.CallExpr)
				if !ok {
					return true
				}
				var called reach
				switch to := call.Fun.(type) {
				case *ast.Ident:
					called = funcs.reach(to.Name, seen)
				case *ast.SelectorExpr:
					if from, ok := to.X.(*ast.Ident); !ok || from.Name != "campaign" {
						called = funcs.reach(to.Sel.Name, seen)
					} else if called = partly; to.Sel.Name == "Only" {
						called = campaign
					}
				}
				if !always(statement, call) {
					called = min(called, partly)
				}
				found = max(found, called)
				return true
			})
		}
	}
	return found
}

// always reports whether a statement only makes the call, or keeps or returns its
// result.
func always(statement ast.Stmt, call *ast.CallExpr) bool {
	switch s := statement.(type) {
	case *ast.ExprStmt:
		return s.X == call
	case *ast.AssignStmt:
		return len(s.Rhs) == 1 && s.Rhs[0] == call
	case *ast.ReturnStmt:
		return len(s.Results) == 1 && s.Results[0] == call
	}
	return false
}

// checkedBy returns what docs/security.md must say about a requirement that these tests
// check.
func checkedBy(tests []string, known map[string]reach) string {
	if len(tests) == 0 {
		return "–"
	}
	least, most := campaign, wholly
	for _, test := range tests {
		least, most = min(least, known[test]), max(most, known[test])
	}
	switch {
	case most == wholly:
		return "test"
	case least == campaign:
		return "campaign"
	}
	return "both"
}

// TestTheRequirementsSayWhatChecksThem compares the last column of each row with the
// tests that the row names, directly or by the number of another row.
func TestTheRequirementsSayWhatChecksThem(t *testing.T) {
	known := reaches(t)
	row := regexp.MustCompile(`(?m)^\| (\d+|[SF]\d\d) \|.*\| ([^|]+) \|$`)
	number, test := regexp.MustCompile(`\bS\d\d\b`), regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`)
	text := read(t, "docs/security.md")
	texts := map[string]string{}
	for _, found := range row.FindAllStringSubmatch(text, -1) {
		texts[found[1]] = found[0]
	}
	said := map[string]int{}
	for _, found := range row.FindAllStringSubmatch(text, -1) {
		tests := test.FindAllString(found[0], -1)
		if strings.HasPrefix(found[1], "F") {
			for _, other := range number.FindAllString(found[0], -1) {
				tests = append(tests, test.FindAllString(texts[other], -1)...)
			}
		}
		want := checkedBy(tests, known)
		if said[want]++; found[2] != want {
			t.Errorf("%s says that it is checked by %q, want %q", found[1], found[2], want)
		}
	}
	if said["test"] == 0 || said["both"] == 0 {
		t.Errorf("the tests do not ask package campaign: %v", said)
	}
}
