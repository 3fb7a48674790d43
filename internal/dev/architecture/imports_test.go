package architecture

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// mayImport says for each package which others of the module it may know; "*"
// is all of them. A package without a row fails: give it one on purpose.
var mayImport = map[string][]string{
	"cmd/holdfast":                {"*"},
	"web":                         {"internal/account", "internal/session", "internal/form", "internal/learn/trace", "internal/learn/attack", "internal/mail", "internal/throttle", "templates", "static"},
	"templates":                   {},
	"static":                      {},
	"migrations":                  {},
	"internal/account":            {"internal/password", "internal/form"},
	"internal/dev/architecture":   {},
	"internal/learn/attack":       {"internal/account", "internal/session", "internal/learn/trace"},
	"internal/dev/bench":          {"*"},
	"internal/config":             {},
	"internal/database":           {"internal/account", "internal/mail", "internal/session", "internal/throttle", "internal/learn/trace", "migrations"},
	"internal/form":               {},
	"internal/mail":               {"internal/account", "templates"},
	"internal/throttle":           {},
	"internal/password":           {},
	"internal/dev/pictures":       {},
	"internal/learn/restartcheck": {},
	"internal/session":            {"internal/learn/trace"},
	"internal/dev/testprocess":    {"internal/dev/testservice"},
	"internal/dev/testservice":    {},
	"internal/learn/trace":        {},
}

// onlyTests are packages that Holdfast itself must not contain.
var onlyTests = []string{"internal/dev/testservice", "internal/dev/testprocess", "internal/dev/architecture", "internal/dev/bench"}

// measures stands beside the application, not in it: it starts Holdfast and
// what Holdfast is compared with, and so may know anything.
const measures = "internal/dev/bench"

func TestImportsFollowTheTable(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t) {
		seen[p.name()] = true
		allowed, ok := mayImport[p.name()]
		if !ok {
			t.Errorf("package %s has no row in the table of imports", p.name())
			continue
		}
		for _, path := range p.Imports {
			ours, ok := strings.CutPrefix(path, module+"/")
			switch {
			case !ok:
			case slices.Contains(onlyTests, ours) && !slices.Contains(onlyTests, p.name()):
				t.Errorf("%s imports %s outside its tests", p.name(), ours)
			case !slices.Contains(allowed, ours) && !slices.Contains(allowed, "*"):
				t.Errorf("%s imports %s, which its row in the table does not allow", p.name(), ours)
			}
		}
	}
	for name := range maps.Keys(mayImport) {
		if !seen[name] {
			t.Errorf("the table has a row for %s, which is no package", name)
		}
	}
}

// keepOut says which packages of others, with all below them, a package and all
// below it must not import.
var keepOut = []struct{ of, path, why string }{
	{"web", "database/sql", "SQL stands in internal/database"},
	{"web", "github.com/jackc/pgx", "SQL stands in internal/database"},
	{"web", "modernc.org/sqlite", "SQL stands in internal/database"},
	{"web", "github.com/gomodule/redigo", "Redis is known to internal/session alone"},
	{"web", "github.com/nalgeon/redka", "Redis is known to internal/session alone"},
	{"web", "github.com/alexedwards/scs", "scs is known to internal/session alone"},
	{"internal", "github.com/labstack/echo", "HTTP routes and handlers are web's"},
	{"internal", module + "/web", "nothing reaches backwards"},
	{"internal", module + "/cmd", "nothing reaches backwards"},
	{"internal/account", "database/sql", "stores stand in internal/database"},
	{"internal/account", "net/http", "the rules about people know no HTTP"},
	{"internal/password", "net/http", "the rules about passwords know no HTTP, and ask no service"},
}

func TestPackagesOfOthersStayWhereTheyBelong(t *testing.T) {
	for _, p := range list(t) {
		for _, rule := range keepOut {
			if !within(p.name(), rule.of) || p.name() == measures {
				continue
			}
			for _, path := range p.Imports {
				if within(path, rule.path) {
					t.Errorf("%s imports %s: %s", p.name(), path, rule.why)
				}
			}
		}
	}
}

func within(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}
