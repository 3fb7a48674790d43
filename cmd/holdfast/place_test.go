package main_test

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/launch"
)

// These tests run commands in the wrong place: in another folder, or with a store other
// than the server's.

// stores says which stores a command acts on.
type stores int

const (
	none      stores = iota
	people           // the database
	sessions         // the database and the session store
	makesThem        // creates what is missing, or uses its own stores
)

// commands lists every command.
var commands = map[string]stores{
	"serve": makesThem, "migrate": makesThem, "restart-check": makesThem, "healthcheck": none, "version": none,
	"users list": people, "users show": people, "users add": people, "users enable": people, "users reset-link": people,
	"users disable": sessions, "sessions list": sessions, "sessions end": sessions, "sessions end-all": sessions,
	"sessions reconcile": sessions,
}

// commandLine returns a command with its required flags.
func commandLine(name, email string) []string {
	args := strings.Fields(name)
	switch name {
	case "users add":
		return append(args, "--name", "Bea", "--email", "bea@example.org")
	case "users list", "healthcheck", "version", "sessions reconcile":
		return args
	case "sessions end":
		return append(args, "--email", email, "--id", "x")
	}
	return append(args, "--email", email)
}

func TestTheTableOfCommandsIsWhole(t *testing.T) {
	var names []string
	var walk func(of reflect.Type, prefix string)
	walk = func(of reflect.Type, prefix string) {
		for field := range of.Fields() {
			if _, command := field.Tag.Lookup("cmd"); !command {
				continue
			}
			name := field.Tag.Get("name")
			if name == "" {
				name = strings.ToLower(strings.Join(words(field.Name), "-"))
			}
			before := len(names)
			if field.Type.Kind() == reflect.Struct {
				walk(field.Type, prefix+name+" ")
			}
			if len(names) == before {
				names = append(names, prefix+name)
			}
		}
	}
	walk(reflect.TypeFor[config.Commands](), "")
	slices.Sort(names)
	if known := slices.Sorted(maps.Keys(commands)); !slices.Equal(names, known) {
		t.Errorf("the program has the commands %q, the table %q", names, known)
	}
}

// words splits a name such as RestartCheck into words.
func words(name string) (all []string) {
	for i, r := range name {
		if i == 0 || 'A' <= r && r <= 'Z' {
			all = append(all, "")
		}
		all[len(all)-1] += string(r)
	}
	return all
}

// listing returns every file and folder below dir.
func listing(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	require.NoError(t, err)
	return all
}

// mustLeave runs a command in dir and fails the test if it leaves anything behind.
func mustLeave(t *testing.T, dir string, settings testprocess.Settings, args ...string) testprocess.Result {
	t.Helper()
	before := listing(t, dir)
	got := testprocess.Run(t, program(t), dir, settings, args...)
	if after := listing(t, dir); !slices.Equal(before, after) {
		t.Errorf("%q left %q, before there was %q", args, after, before)
	}
	return got
}

// mustRefuse runs a command that must fail with these words, print nothing else and
// leave nothing behind.
func mustRefuse(t *testing.T, dir string, settings testprocess.Settings, args []string, words ...string) {
	t.Helper()
	got := mustLeave(t, dir, settings, args...)
	if got.Code != 1 || got.Stdout != "" {
		t.Errorf("%q ended with %d and said %q, want 1 and nothing", args, got.Code, got.Stdout)
	}
	mustName(t, got.Stderr, words...)
	mustNotName(t, got.Stderr, "secret-word")
}

func TestACommandInTheWrongFolderFailsAndMakesNothing(t *testing.T) {
	t.Parallel()
	unused := testservice.Postgres(t)
	for name, on := range commands {
		if on == makesThem {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := commandLine(name, "ada@example.org")
			if on == none {
				mustLeave(t, t.TempDir(), nil, args...)
				mustLeave(t, t.TempDir(), nil, append(args, "--help")...)
				return
			}
			elsewhere := t.TempDir()
			mustRefuse(t, elsewhere, nil, args, "database does not exist", filepath.Join(elsewhere, ".data", "holdfast.db"), "DATA_DIR", "DATABASE_URL")
			empty := t.TempDir()
			mustRefuse(t, t.TempDir(), testprocess.Settings{"DATA_DIR": empty}, args, "database does not exist", filepath.Join(empty, "holdfast.db"))
			if left := listing(t, empty); len(left) != 1 {
				t.Errorf("in the empty DATA_DIR is %q", left)
			}
			mustRefuse(t, t.TempDir(), testprocess.Settings{"DATABASE_URL": unused.URL}, args, "PostgreSQL at 127.0.0.1:", "holdfast migrate")
			mustRefuse(t, t.TempDir(), testprocess.Settings{"PORT": "none"}, args, "PORT")
		})
	}
}

// TestACommandMigratesNothing: a command fails until the database is migrated, and
// accepts a database that is newer than the program.
func TestACommandMigratesNothing(t *testing.T) {
	t.Parallel()
	each(t, map[string]testprocess.Settings{"SQLite": {}, "PostgreSQL": onServices("", testservice.Postgres(t).URL)}, func(t *testing.T, name string, settings testprocess.Settings) {
		dir := t.TempDir()
		mustRun := func(args ...string) {
			t.Helper()
			mustSucceed(t, testprocess.Run(t, program(t), dir, settings, args...))
		}
		mustRun("migrate")
		db := testkit.OpenDatabase(t, database.Config{URL: settings["DATABASE_URL"], DataDir: filepath.Join(dir, ".data"), MustExist: true, Timeout: testkit.Patience})
		do := func(query string) {
			t.Helper()
			_, err := db.SQL().ExecContext(t.Context(), query)
			require.NoError(t, err)
		}
		mustRun("users", "list")
		var latest int
		require.NoError(t, db.SQL().QueryRowContext(t.Context(), `SELECT max(version_id) FROM holdfast_migrations`).Scan(&latest))
		do(fmt.Sprintf(`DELETE FROM holdfast_migrations WHERE version_id = %d`, latest))
		for range 2 {
			got := testprocess.Run(t, program(t), dir, settings, "users", "list")
			if got.Code != 1 || got.Stdout != "" {
				t.Errorf("an older database: %d\n%s", got.Code, got.Output())
			}
			mustName(t, got.Stderr, name, "holdfast migrate")
		}
		do(fmt.Sprintf(`INSERT INTO holdfast_migrations (version_id, is_applied) VALUES (%d, true)`, latest))
		mustRun("users", "list")
		do(`INSERT INTO holdfast_migrations (version_id, is_applied) VALUES (90000, true)`)
		mustRun("users", "list")
	})
}

// TestACommandWithAnotherStoreIsRefused: the command changes neither store.
func TestACommandWithAnotherStoreIsRefused(t *testing.T) {
	t.Parallel()
	right, other := testservice.PrivateRedis(t), testservice.PrivateRedis(t, "--requirepass", "secret-word")
	others := "redis://:secret-word@" + other.Addr
	server := start(t, testprocess.Settings{"REDIS_URL": right.URL, "DATABASE_URL": testkit.Postgres(t).URL})
	elsewhere := start(t, testprocess.Settings{"REDIS_URL": others + "/2"}) // another installation's
	foreign := member(t, elsewhere)
	ada := member(t, server)
	for name, given := range map[string]struct {
		settings testprocess.Settings
		place    string
	}{
		"no Redis":             {testprocess.Settings{"REDIS_URL": ""}, "redis.db does not exist"},
		"an unused Redis":      {testprocess.Settings{"REDIS_URL": others}, "given Redis at " + other.Addr},
		"a Redis of others":    {testprocess.Settings{"REDIS_URL": others + "/2"}, "given Redis at " + other.Addr + ", database 2"},
		"another database":     {testprocess.Settings{"REDIS_URL": right.URL + "/1"}, "given Redis at " + right.Addr + ", database 1"},
		"the store file":       {testprocess.Settings{"SESSION_STORE": "file"}, "sessions.bolt does not exist"},
		"the store database":   {testprocess.Settings{"SESSION_STORE": "database"}, "given table sessions"},
		"the store memory":     {testprocess.Settings{"SESSION_STORE": "memory"}, "given the server’s own memory"},
		"a file of other data": {testprocess.Settings{"SESSION_STORE": "file", "DATA_DIR": fileOf(t)}, "given the file "},
	} {
		t.Run(name, func(t *testing.T) {
			settings := server.Settings()
			maps.Copy(settings, given.settings)
			for command, on := range commands {
				if on != sessions {
					continue
				}
				mustRefuse(t, t.TempDir(), settings, commandLine(command, ada.email), given.place, "the server keeps sessions in Redis at "+right.Addr)
			}
			mustBe(t, greeted, ada, "after "+name)
		})
	}
	mustBe(t, greeted, foreign, "at the other installation")
	for url, unused := range map[string]string{others: "Redis", right.URL + "/1": "database"} {
		client, err := redis.DialURL(url)
		require.NoError(t, err)
		defer client.Close()
		if n, err := redis.Int(client.Do("DBSIZE")); err != nil || n != 0 {
			t.Errorf("in the unused %s are %d keys, %v", unused, n, err)
		}
	}
	mustNotName(t, mustSucceed(t, server.Command("users", "show", "--email", ada.email)), "disabled")
}

// fileOf returns a folder in which a server has kept sessions in a file.
func fileOf(t *testing.T) string {
	server := start(t, testprocess.Settings{"SESSION_STORE": "file"})
	server.Stop()
	return filepath.Join(server.Dir, ".data")
}

// TestTheServersStoreIsAcceptedByAnyName: even after it was emptied or an older copy
// was restored.
func TestTheServersStoreIsAcceptedByAnyName(t *testing.T) {
	t.Parallel()
	store := testservice.PrivateRedis(t, "--requirepass", "right-word")
	store.URL = "redis://:right-word@" + store.Addr
	otherName := strings.Replace(store.URL, "127.0.0.1", "localhost", 1)
	server := start(t, onServices(store.URL, testkit.Postgres(t).URL))
	ada := member(t, server)
	ends := func(url string) error {
		settings := server.Settings()
		settings["REDIS_URL"] = url
		got := testprocess.Run(t, program(t), t.TempDir(), settings, "sessions", "end-all", "--email", ada.email)
		mustNotName(t, got.Output(), "right-word")
		if got.Code != 0 || !strings.Contains(got.Stdout, "Sessions revoked: 1.") {
			return fmt.Errorf("%d\n%s", got.Code, got.Output())
		}
		return asked(ada)
	}
	if err := ends(otherName); err != nil {
		t.Fatalf("by another name: %v", err)
	}
	const id = "holdfast:beat.store"
	must(t, store, "FLUSHALL")
	testkit.Eventually(t, answerLimit, "find Redis emptied", func() error { // the server then writes a watermark
		_, err := watermark(store)
		return err
	})
	testkit.Eventually(t, answerLimit, "log in", func() error { return entered(ada.tryLogIn()) })
	// A command is refused between the write of the new ID to Redis and its record in
	// the database.
	testkit.Eventually(t, answerLimit, "accepted after it was emptied", func() error { return ends(store.URL) })
	for _, change := range [][]any{{"DEL", id}, {"SET", id, "from an older copy"}} {
		must(t, store, change[0].(string), change[1:]...)
		ada.logIn()
		testkit.Eventually(t, answerLimit, fmt.Sprintf("accepted by another name after %q", change), func() error { return ends(otherName) })
	}
}

// TestCommandsActOnTheStoresOfTheServer: they name those stores on standard error,
// apart from their output.
func TestCommandsActOnTheStoresOfTheServer(t *testing.T) {
	t.Parallel()
	type wanted struct {
		place       string
		whileItRuns bool
	}
	each(t, map[string]wanted{
		"redis": {"redis.db", true}, "file": {"sessions.bolt", false}, "database": {"holdfast.db", true},
	}, func(t *testing.T, store string, want wanted) {
		server := start(t, testprocess.Settings{"SESSION_STORE": store})
		ada, bea := member(t, server), member(t, server)
		elsewhere := server.Settings() // the same, seen from another folder
		elsewhere["DATA_DIR"] = filepath.Join(server.Dir, ".data")
		act := func(args ...string) string {
			t.Helper()
			got := mustLeave(t, t.TempDir(), elsewhere, args...)
			mustSucceed(t, got)
			mustName(t, got.Stderr, "Database: SQLite in "+filepath.Join(elsewhere["DATA_DIR"], "holdfast.db"))
			if commands[args[0]+" "+args[1]] == sessions {
				mustName(t, got.Stderr, "\nSessions: ", filepath.Join(elsewhere["DATA_DIR"], want.place))
			}
			mustNotName(t, got.Stdout, elsewhere["DATA_DIR"])
			return got.Stdout
		}
		mustName(t, act("users", "list"), ada.email, bea.email)
		if want.whileItRuns {
			list := act("sessions", "list", "--email", ada.email)
			id := strings.Fields(strings.Split(list, "\n")[1])[0]
			mustName(t, act("sessions", "end", "--email", ada.email, "--id", id), "Revoked session "+id)
			mustBe(t, asked, ada, "with the session ended")
			mustBe(t, greeted, bea, "with another session ended")
			mustName(t, act("sessions", "end-all", "--everybody"), "Sessions revoked: 1.")
			mustBe(t, asked, bea, "with all sessions ended")
			bea.logIn()
			mustName(t, act("users", "disable", "--email", bea.email), "Sessions revoked: 1.")
			mustBe(t, asked, bea, "disabled")
			act("users", "enable", "--email", bea.email)
			bea.logIn()
		} else {
			mustRefuse(t, t.TempDir(), elsewhere, commandLine("sessions end-all", bea.email), "in use by another running server")
		}
		server.Stop()
		mustName(t, act("sessions", "end-all", "--email", bea.email), "Sessions revoked: 1.")
		server.Start()
		mustBe(t, asked, bea.at(server.URL), "after a start")
		mustName(t, act("users", "list"), bea.email)
	})
}

// TestAServerThatMovesTakesCommandsAlong: commands follow a server that changes its
// store, but not a throwaway server.
func TestAServerThatMovesTakesCommandsAlong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before, after := testprocess.Settings{"SESSION_STORE": "file"}, testprocess.Settings{"SESSION_STORE": "database"}
	list := func(settings testprocess.Settings) testprocess.Result {
		return testprocess.Run(t, program(t), dir, settings, "sessions", "end-all", "--everybody")
	}
	testprocess.Start(t, program(t), dir, before).Stop()
	thrownAway, err := launch.Start(t.Context(), launch.Command{
		Program: program(t), Args: []string{"serve", "--stop-with-stdin", "--uncounted"}, Dir: dir,
		Env: []string{"HOST=127.0.0.1", "PORT=0", "SESSION_STORE=database"}, Until: "database",
	})
	require.NoError(t, err)
	require.NoError(t, thrownAway.Stop())
	mustSucceed(t, list(before))
	testprocess.Start(t, program(t), dir, after).Stop()
	mustSucceed(t, list(after))
	got := list(before)
	if got.Code != 1 {
		t.Errorf("with the store of before the move: %d\n%s", got.Code, got.Output())
	}
	mustName(t, got.Stderr, "given the file "+filepath.Join(dir, ".data", "sessions.bolt"), "table sessions of SQLite in")
}
