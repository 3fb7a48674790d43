package main_test

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
)

// loudly is how soon a start that cannot succeed must fail with a message.
var loudly = within(10 * time.Second)

func TestStartsWithNothingConfigured(t *testing.T) {
	t.Parallel()
	server := testprocess.Start(t, program(t), t.TempDir(), nil)
	lines := strings.Split(strings.TrimSpace(server.Announcement()), "\n")
	want := []string{
		"Holdfast ",
		"  url       " + server.URL,
		"  sessions  the embedded Redis in " + filepath.Join(".data", "redis.db"),
		"  redis     unix:///",
		"  database  SQLite in " + filepath.Join(".data", "holdfast.db"),
	}
	if len(lines) != len(want) {
		t.Fatalf("announced %q, want %d lines", lines, len(want))
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("line %d is %q, want %q", i+1, lines[i], want[i])
		}
	}
	mustBe(t, greeted, member(t, server), "after registering")
	for _, path := range []string{"/healthz", "/readyz", "/"} {
		if got := newVisitor(t, server.URL).get(path); got.Code != http.StatusOK {
			t.Errorf("%s: %d", path, got.Code)
		}
	}
	if runtime.GOOS == "windows" {
		return // Windows has other permissions
	}
	for path, want := range map[string]os.FileMode{".data": 0o700, ".data/holdfast.db": 0o600} {
		if info, err := os.Stat(filepath.Join(server.Dir, path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want permissions %o", path, info, err, want)
		}
	}
}

func TestRunsFromAnyFolderWithAnEmptyEnvironment(t *testing.T) {
	t.Parallel()
	server := testprocess.Start(t, program(t), filepath.VolumeName(t.TempDir())+string(filepath.Separator),
		testprocess.Settings{"DATA_DIR": t.TempDir()})
	mustBe(t, greeted, member(t, server), "after registering")
	home := newVisitor(t, server.URL).get("/")
	style := home.page.Find(`link[rel="stylesheet"]`).AttrOr("href", "")
	if got := newVisitor(t, server.URL).get(style); got.Code != http.StatusOK {
		t.Errorf("style sheet %q: %d", style, got.Code)
	}
}

func TestReadsDotenv(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	port := strconv.Itoa(testservice.FreePort(t))
	text := "PORT=" + port + "\nHOST=127.0.0.1\nSESSION_STORE=memory # forgets\nDATA_DIR='kept here'\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".env"), []byte(text), 0o600))
	server := testprocess.Start(t, program(t), dir, testprocess.Settings{"PORT": "", "HOST": ""})
	if want := "http://127.0.0.1:" + port; server.URL != want {
		t.Errorf("serves %s, want %s", server.URL, want)
	}
	for _, want := range []string{"this server’s memory", filepath.Join("kept here", "holdfast.db")} {
		if !strings.Contains(server.Announcement(), want) {
			t.Errorf("announced\n%swithout %q", server.Announcement(), want)
		}
	}
}

// refused starts a server that must fail, and returns its only message.
func refused(t *testing.T, dir string, settings testprocess.Settings) string {
	t.Helper()
	if _, set := settings["PORT"]; !set {
		settings["PORT"] = "0"
	}
	settings["HOST"] = "127.0.0.1"
	got := testprocess.Run(t, program(t), dir, settings)
	if got.Code != 1 || got.Stdout != "" {
		t.Errorf("ended with %d, want 1; stdout %q", got.Code, got.Stdout)
	}
	if got.Took > loudly {
		t.Errorf("took %s to fail, want at most %s", got.Took, loudly)
	}
	if strings.Count("\n"+got.Stderr, "\nholdfast: ") != 1 { // there may be log lines beside it
		t.Errorf("not one message:\n%s", got.Stderr)
	}
	if strings.Contains(got.Stderr, "secret-word") {
		t.Errorf("the message has a password in it:\n%s", got.Stderr)
	}
	return got.Stderr
}

// mustSucceed fails the test unless a command succeeded and printed these words. It
// returns what it printed.
func mustSucceed(t testing.TB, got testprocess.Result, words ...string) (stdout string) {
	t.Helper()
	if got.Code != 0 {
		t.Fatalf("ended with %d\n%s", got.Code, got.Output())
	}
	mustName(t, got.Stdout, words...)
	return got.Stdout
}

func mustName(t testing.TB, message string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(message, word) {
			t.Errorf("the message does not name %q:\n%s", word, message)
		}
	}
}

// mustLog waits until each of these is in the log. A response may arrive before the lines
// that were logged for it.
func mustLog(t testing.TB, server *testprocess.Server, words ...string) {
	t.Helper()
	for _, word := range words {
		testkit.Eventually(t, answerLimit, "log "+word, func() error {
			if !strings.Contains(server.Log(), word) {
				return errors.New("it is not in the log")
			}
			return nil
		})
	}
}

// mustLogOnce is mustLog for what may be logged only once.
func mustLogOnce(t testing.TB, server *testprocess.Server, words string) {
	t.Helper()
	mustLog(t, server, words)
	if n := strings.Count(server.Log(), words); n != 1 {
		t.Errorf("%s is %d times in the log, want once", words, n)
	}
}

func mustNotName(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if strings.Contains(text, word) {
			t.Errorf("found %q in\n%s", word, text)
		}
	}
}

func TestOneMessageNamesEveryWrongSetting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	message := refused(t, dir, testprocess.Settings{
		"PORT":                 "70000",
		"BASE_URL":             "ftp://example.org",
		"SESSION_STORE":        "cloud",
		"SESSION_COOKIE":       "__Host-kelp",
		"SESSION_IDLE_TIMEOUT": "soon",
		"REDIS_URL":            "http://user:secret-word@redis:6379",
		"DATABASE_URL":         "mysql://user:secret-word@db/holdfast",
		"TRUSTED_PROXIES":      "everyone",
		"LOG_LEVEL":            "loud",
	})
	mustName(t, message, "9 invalid settings", "PORT", "BASE_URL", "SESSION_STORE", "SESSION_COOKIE", "SESSION_IDLE_TIMEOUT", "REDIS_URL",
		"DATABASE_URL", "TRUSTED_PROXIES", "LOG_LEVEL")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("wrong settings left %v behind, %v", left, err)
	}
}

func TestSaysThatAnAddressIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	addr := taken.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	mustName(t, refused(t, t.TempDir(), testprocess.Settings{"PORT": port}), addr, "in use")
	mustName(t, refused(t, t.TempDir(), testprocess.Settings{"METRICS_ADDR": addr}), "METRICS_ADDR")
}

func TestSaysThatTheDataFolderIsHeldByAnotherServer(t *testing.T) {
	t.Parallel()
	each(t, map[string]string{"redis": "redis.lock", "file": "sessions.bolt"}, func(t *testing.T, store string, file string) {
		settings := testprocess.Settings{"SESSION_STORE": store}
		holder := start(t, settings)
		ada := member(t, holder)
		message := refused(t, holder.Dir, testprocess.Settings{"SESSION_STORE": store})
		mustName(t, message, filepath.Join(".data", file), "in use by another running server")
		mustBe(t, greeted, ada, "after another server tried the same folder")
	})
}

func TestFailsLoudlyWhenAStoreCannotBeUsed(t *testing.T) {
	t.Parallel()
	unused := "127.0.0.1:" + strconv.Itoa(testservice.FreePort(t))
	guarded := testservice.PrivateRedis(t, "--requirepass", "right-word")
	postgres := testservice.Postgres(t)
	wrong := strings.Replace(postgres.URL, "://holdfast:", "://holdfast:secret-word-", 1)
	file := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	type store struct {
		settings testprocess.Settings
		words    []string
	}
	each(t, map[string]store{
		"unknown Redis host":        {testprocess.Settings{"REDIS_URL": "redis://:secret-word@redis.invalid:6379"}, []string{"redis.invalid:6379"}},
		"no Redis there":            {testprocess.Settings{"REDIS_URL": "redis://:secret-word@" + unused}, []string{unused}},
		"wrong Redis password":      {testprocess.Settings{"REDIS_URL": "redis://:secret-word@" + guarded.Addr}, []string{guarded.Addr, "WRONGPASS"}},
		"no Redis password":         {testprocess.Settings{"REDIS_URL": guarded.URL}, []string{guarded.Addr, "NOAUTH"}},
		"unknown PostgreSQL host":   {testprocess.Settings{"DATABASE_URL": "postgres://a:secret-word@db.invalid:5432/a"}, []string{"db.invalid:5432/a"}},
		"no PostgreSQL there":       {testprocess.Settings{"DATABASE_URL": "postgres://a:secret-word@" + unused + "/a"}, []string{unused}},
		"wrong PostgreSQL password": {testprocess.Settings{"DATABASE_URL": wrong}, []string{"PostgreSQL at 127.0.0.1:", "password authentication failed"}},
		"unknown database":          {testprocess.Settings{"DATABASE_URL": postgres.URL + "_missing"}, []string{"_missing", "does not exist"}},
		"DATA_DIR is a file":        {testprocess.Settings{"DATA_DIR": file}, []string{file}},
	}, func(t *testing.T, _ string, c store) {
		mustName(t, refused(t, t.TempDir(), c.settings), c.words...)
	})
}

func TestMigrateAppliesWhatIsMissing(t *testing.T) {
	t.Parallel()
	each(t, map[string]testprocess.Settings{
		"SQLite":     {},
		"PostgreSQL": onServices("", testservice.Postgres(t).URL),
	}, func(t *testing.T, name string, settings testprocess.Settings) {
		dir := t.TempDir()
		mustSucceed(t, testprocess.Run(t, program(t), dir, settings, "migrate"), name, "Applied 00001_people.sql.", "is up to date")
		again := mustSucceed(t, testprocess.Run(t, program(t), dir, settings, "migrate"), "is up to date")
		mustNotName(t, again, "Applied")
		mustBe(t, greeted, member(t, testprocess.Start(t, program(t), dir, settings)), "after migrate")
	})
}

func TestHealthcheckAsksTheServerOfTheseSettings(t *testing.T) {
	t.Parallel()
	settings := testprocess.Settings{"HOST": "127.0.0.1", "PORT": strconv.Itoa(testservice.FreePort(t))}
	server := start(t, settings)
	mustSucceed(t, testprocess.Run(t, program(t), t.TempDir(), settings, "healthcheck"))
	everywhere := testprocess.Settings{"HOST": "0.0.0.0", "PORT": settings["PORT"]}
	mustSucceed(t, testprocess.Run(t, program(t), t.TempDir(), everywhere, "healthcheck"))
	server.Stop()
	if got := testprocess.Run(t, program(t), t.TempDir(), settings, "healthcheck"); got.Code != 1 || got.Stderr == "" {
		t.Errorf("a server that has stopped: %d, %q; want 1 and the reason", got.Code, got.Stderr)
	}
}

// TestHealthcheckAsksNoProxy: an environment may name one for all programs.
func TestHealthcheckAsksNoProxy(t *testing.T) {
	t.Parallel()
	name, err := os.Hostname() // Go asks no proxy for localhost, whatever the environment says
	require.NoError(t, err)
	if _, err := net.LookupHost(name); err != nil {
		t.Skip("this machine's name has no address")
	}
	settings := testprocess.Settings{
		"HOST": name, "PORT": strconv.Itoa(testservice.FreePort(t)), "HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1",
	}
	start(t, settings)
	mustSucceed(t, testprocess.Run(t, program(t), t.TempDir(), settings, "healthcheck"))
}

// TestADatabaseOfANewerVersionIsUsedAndSaid: instances of two versions share it during a
// deployment.
func TestADatabaseOfANewerVersionIsUsedAndSaid(t *testing.T) {
	t.Parallel()
	settings := services(t)
	server := start(t, settings)
	ada := member(t, server)
	query(t, settings["DATABASE_URL"], `INSERT INTO holdfast_migrations (version_id, is_applied) VALUES (90000, true)`)
	server.Stop()
	server.Start()
	mustBe(t, greeted, ada, "with a newer database")
	mustLogOnce(t, server, "the database was migrated by a newer version")
}

func TestVersionAndHelpNeedNoSettings(t *testing.T) {
	t.Parallel()
	wrong := testprocess.Settings{"PORT": "none"}
	version := mustSucceed(t, testprocess.Run(t, program(t), t.TempDir(), wrong, "version"))
	if !strings.HasPrefix(version, "holdfast ") || len(strings.Fields(version)) != 2 {
		t.Errorf("version: %s", version)
	}
	help := testprocess.Run(t, program(t), t.TempDir(), wrong, "--help")
	if help.Stderr != "" {
		t.Errorf("--help: %q", help.Stderr)
	}
	mustSucceed(t, help, "serve", "migrate", "healthcheck", "version", "--redis-url", "REDIS_URL", "--port", "default: 3000")
	unknown := testprocess.Run(t, program(t), t.TempDir(), nil, "sevre")
	if unknown.Code != 1 || unknown.Stdout != "" {
		t.Errorf("an unknown command: %d, %q", unknown.Code, unknown.Stdout)
	}
	mustName(t, unknown.Stderr, "sevre", "--help")
}

// TestANameThatAnotherProgramHasTooIsRefused: for localhost, browsers try [::1] first.
func TestANameThatAnotherProgramHasTooIsRefused(t *testing.T) {
	t.Parallel()
	other, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6")
	}
	defer other.Close()
	port := strconv.Itoa(other.Addr().(*net.TCPAddr).Port)
	got := testprocess.Run(t, program(t), t.TempDir(), testprocess.Settings{"PORT": port})
	if got.Code != 1 || !strings.Contains(got.Stderr, "another program listens on [::1]:"+port) {
		t.Errorf("exit %d: %s", got.Code, got.Output())
	}
	server := start(t, testprocess.Settings{"PORT": port, "HOST": "127.0.0.1"})
	member(t, server)
}

// Browsers send a host's cookies to all of its ports.
func TestTwoServersOnOneHostKeepTheirSessionsApartByTheCookiesName(t *testing.T) {
	t.Parallel()
	first, second := start(t, testprocess.Settings{}), start(t, testprocess.Settings{"SESSION_COOKIE": "kelp"})
	ada := newVisitor(t, first.URL)
	ada.register()
	there := ada.at(second.URL)
	there.register()
	require.NoError(t, errors.Join(greeted(ada), greeted(there)))
}
