package architecture

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
)

// mayImport lists which other packages of the module each package of the application
// may import; "*" means all. A package without a row contains domain rules: it may
// import what ofRules lists.
var mayImport = map[string][]string{
	"cmd/holdfast":                {"*"},
	"web":                         {"internal/fault", "internal/hostname", "internal/httpserver", "internal/session/store", "internal/form", "internal/text", "internal/mail", "internal/throttle", "internal/view", "templates", "static"},
	"templates":                   {},
	"static":                      {},
	"migrations":                  {},
	"internal/account":            {"internal/password", "internal/throttle", "internal/fault", "internal/form", "internal/text"},
	"internal/config":             {"internal/hostname"},
	"internal/database":           {"internal/fault", "internal/mail", "internal/sqlitefile", "internal/throttle", "migrations", "internal/text"},
	"internal/fault":              {},
	"internal/form":               {},
	"internal/hostname":           {},
	"internal/httpserver":         {},
	"internal/launch":             {},
	"internal/mail":               {"internal/account", "internal/fault", "internal/hostname", "templates"},
	"internal/throttle":           {},
	"internal/password":           {},
	"internal/pipeline":           {},
	"internal/product":            {},
	"internal/redisurl":           {},
	"internal/reserve":            {},
	"internal/session":            {"internal/session/revocation", "internal/session/store", "internal/text", "internal/throttle", "internal/fault"},
	"internal/session/revocation": {"internal/sqlitefile"},
	"internal/session/store":      {"internal/pipeline", "internal/embeddedredis", "internal/hostname", "internal/fault", "internal/redisurl", "internal/sqlitefile"},
	"internal/embeddedredis":      {"internal/sqlitefile"},
	"internal/sqlitefile":         {},
	"internal/text":               {},
	"internal/visitor":            {},
	"internal/view":               {},
}

// everyone lists what every package may import.
var everyone = []string{"internal/product"}

// ofRules lists what a package of domain rules without a row may import.
var ofRules = []string{"internal/fault", "internal/form", "internal/text"}

// domains lists the packages of domain rules that have a row. Pages call them, and the
// database stores their data: both may import all of them.
var domains = []string{
	"internal/account",
	"internal/session",
}

func isDomain(name string) bool {
	_, ok := mayImport[name]
	return !ok || slices.Contains(domains, name)
}

var knowDomains = []string{"web", "internal/database"}

// tools are not part of the application. They may import all of it, and only its tests
// may import them.
const tools = "internal/dev"

// learning observes the application and may import all of it. In the application only
// the command imports it, in one file that the build tag nolearn excludes.
const learning = "internal/learn"

func TestImportsFollowTheTable(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t) {
		if within(p.name(), tools) {
			continue
		}
		seen[p.name()] = true
		allowed, ok := mayImport[p.name()]
		if within(p.name(), learning) {
			allowed, ok = []string{"*"}, true
		}
		if !ok {
			allowed = ofRules
		}
		for _, path := range p.Imports {
			ours, ok := strings.CutPrefix(path, module+"/")
			switch {
			case !ok, slices.Contains(everyone, ours):
			case within(ours, tools):
				t.Errorf("%s imports %s outside its tests", p.name(), ours)
			case within(ours, learning) && p.name() != "cmd/holdfast" && !within(p.name(), learning):
				t.Errorf("%s imports %s: only the command may", p.name(), ours)
			case isDomain(ours) && slices.Contains(knowDomains, p.name()):
			case !slices.Contains(allowed, ours) && !slices.Contains(allowed, "*"):
				t.Errorf("%s imports %s, which its row in mayImport, or ofRules without a row, does not allow", p.name(), ours)
			}
		}
	}
	for name := range mayImport {
		if !seen[name] {
			t.Errorf("the table has a row for %s, which is no package", name)
		}
	}
}

func TestWithoutLearningTheProgramHasNoneOfIt(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", "nolearn", module+"/cmd/holdfast").Output()
	require.NoError(t, err)
	for path := range strings.Lines(string(out)) {
		if strings.Contains(path, "/"+learning) {
			t.Errorf("with -tags nolearn cmd/holdfast depends on %s", path)
		}
	}
}

func TestTestsThatStartProcessesLeaveNoFiles(t *testing.T) {
	for _, p := range list(t) {
		if !slices.ContainsFunc(slices.Concat(p.TestImports, p.XTestImports), func(path string) bool {
			return within(path, module+"/"+tools+"/testservice") || within(path, module+"/"+tools+"/testprocess")
		}) {
			continue
		}
		tests, err := filepath.Glob(filepath.Join(p.Dir, "*_test.go"))
		require.NoError(t, err)
		if !slices.ContainsFunc(tests, func(path string) bool {
			text, err := os.ReadFile(path)
			return err == nil && strings.Contains(string(text), "testservice.Main(m")
		}) {
			t.Errorf("%s starts processes in its tests, and no TestMain calls testservice.Main", p.name())
		}
	}
}

// keepOut lists imports that are not allowed: a package must not import path, except in
// the package but. Each of these includes all packages below it.
var keepOut = []struct{ of, path, why, but string }{
	{"web", "database/sql", "SQL is in internal/database", ""},
	{"web", "github.com/jackc/pgx", "SQL is in internal/database", ""},
	{"web", "modernc.org/sqlite", "SQL is in internal/database", ""},
	{"web", "github.com/gomodule/redigo", "Redis is known to the stores of sessions alone", ""},
	{"web", "github.com/nalgeon/redka", "Redka is known to internal/embeddedredis alone", ""},
	{"web", "github.com/alexedwards/scs", "scs is known to internal/session alone", ""},
	{"internal", "github.com/labstack/echo", "HTTP routes and handlers are web's", learning},
	{"internal", module + "/web", "nothing reaches backwards", learning},
	{"internal", module + "/cmd", "nothing reaches backwards", ""},
	{"internal/account", "database/sql", "stores stand in internal/database", ""},
	{"internal/account", "net/http", "the rules about people know no HTTP", ""},
	{"internal/password", "net/http", "the rules about passwords know no HTTP, and ask no service", ""},
	{"internal/view", "net/http", "templates become bytes, for any caller", ""},
}

func TestPackagesOfOthersStayWhereTheyBelong(t *testing.T) {
	for _, p := range list(t) {
		for _, rule := range keepOut {
			if !within(p.name(), rule.of) || within(p.name(), tools) || rule.but != "" && within(p.name(), rule.but) {
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
