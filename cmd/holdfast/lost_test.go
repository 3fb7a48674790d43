package main_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/database"
	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
)

// TestDataRemovedUnderTheServerIsNoticed: the files are still open, but what is written
// to them would be lost at the next start.
func TestDataRemovedUnderTheServerIsNoticed(t *testing.T) {
	t.Parallel()
	postgres := testkit.Postgres(t).URL
	each(t, map[string]testprocess.Settings{
		"all embedded":          {},
		"embedded Redis":        onServices("", postgres),
		"sessions in the table": {"SESSION_STORE": "database"},
		"sessions in a file":    {"SESSION_STORE": "file", "DATABASE_URL": postgres},
	}, func(t *testing.T, _ string, settings testprocess.Settings) {
		server := start(t, settings)
		ada := member(t, server)
		if settings["DATABASE_URL"] == "" {
			mustLog(t, server, `msg="email sent"`) // its file would bring the folder back
		}
		testkit.Eventually(t, answerLimit, "remove the files", func() error { // the server may create one meanwhile
			return os.RemoveAll(filepath.Join(server.Dir, ".data"))
		})
		got, err := ada.stranger().submit("/register", "/register", map[string]string{"name": "Grace", "email": "grace@example.org", "password": password})
		require.NoError(t, err)
		if got.Code != http.StatusServiceUnavailable {
			t.Errorf("a sign-up after the data was removed: %d to %s", got.Code, got.Header.Get("Location"))
		}
		if said := got.text("main"); strings.Contains(said, "disk is full") {
			t.Errorf("the page says %q", said)
		}
		testkit.Eventually(t, answerLimit, "be unready", func() error {
			why, err := unready(server, "*/*")
			if err == nil && (why == "" || strings.Contains(why, "disk")) {
				err = fmt.Errorf("it says %q", why)
			}
			return err
		})
		mustLog(t, server, "removed or replaced while it was open")
	})
}

// TestALogRemovedUnderTheServerIsNoticed: what SQLite has not yet moved from its
// write-ahead log to the database would be lost in a crash.
func TestALogRemovedUnderTheServerIsNoticed(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	ada := member(t, server)
	mustLog(t, server, `msg="email sent"`) // otherwise its connection may be the first to see the log
	require.NoError(t, os.Remove(filepath.Join(server.Dir, ".data", "holdfast.db-wal")))
	got, err := ada.stranger().submit("/register", "/register", map[string]string{"name": "Grace", "email": "grace@example.org", "password": password})
	require.NoError(t, err)
	if got.Code != http.StatusServiceUnavailable {
		t.Errorf("a sign-up after the log was removed: %d to %s", got.Code, got.Header.Get("Location"))
	}
	mustLog(t, server, "removed or replaced while it was open")
}

// TestADamagedSessionFileIsSaidAndEndsNothing truncates or overwrites the file under a
// running server, which maps it into memory, and then starts the server again.
func TestADamagedSessionFileIsSaidAndEndsNothing(t *testing.T) {
	t.Parallel()
	each(t, map[string]func(t *testing.T, file string, size int64){
		"half":  func(t *testing.T, file string, size int64) { require.NoError(t, os.Truncate(file, size/2)) },
		"8 KiB": func(t *testing.T, file string, _ int64) { require.NoError(t, os.Truncate(file, 8<<10)) },
		"zeros": func(t *testing.T, file string, size int64) {
			out, err := os.OpenFile(file, os.O_WRONLY, 0)
			require.NoError(t, err)
			defer out.Close()
			_, err = out.WriteAt(make([]byte, size-8<<10), 8<<10)
			require.NoError(t, err)
		},
	}, func(t *testing.T, _ string, damage func(t *testing.T, file string, size int64)) {
		server := start(t, testprocess.Settings{"SESSION_STORE": "file"})
		ada := member(t, server)
		file := filepath.Join(server.Dir, ".data", "sessions.bolt")
		info, err := os.Stat(file)
		require.NoError(t, err)
		damage(t, file, info.Size())
		for range 3 {
			if _, err := ada.ask("GET", "/profile", nil); err != nil {
				t.Fatalf("the server does not answer: %v", err)
			}
		}
		if got, err := ada.ask("GET", "/healthz", nil); err != nil || got.Code != http.StatusOK {
			t.Fatalf("/healthz: %d, %v", got.Code, err)
		}
		server.Kill()
		again := testprocess.Run(t, program(t), server.Dir, server.Settings(), "serve", "--stop-with-stdin")
		said := again.Output()
		if strings.Contains(said, "goroutine ") || !strings.Contains(said, "sessions.bolt") && !strings.Contains(said, "context canceled") {
			t.Errorf("started again, it ended with %d and said\n%s", again.Code, said)
		}
	})
}

// goesBack is a server whose database can be replaced by an older copy.
type goesBack struct {
	server        *testprocess.Server
	database      database.Config
	save, restore func() // save while the server is stopped
}

func sqliteThatGoesBack(t *testing.T) goesBack {
	server := start(t, nil)
	dir := filepath.Join(server.Dir, ".data")
	file, copied := filepath.Join(dir, "holdfast.db"), filepath.Join(t.TempDir(), "copy")
	replace := func(to, from string) {
		t.Helper()
		content, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(to, content, 0o600))
	}
	return goesBack{server, database.Config{DataDir: dir, Timeout: testkit.Patience, MustExist: true},
		func() { replace(copied, file) },
		func() { server.Stop(); replace(file, copied) }}
}

// postgresThatGoesBack replaces the database while the server runs.
func postgresThatGoesBack(t *testing.T) goesBack {
	postgres := testservice.Postgres(t)
	at, err := url.Parse(postgres.URL)
	require.NoError(t, err)
	name := strings.TrimPrefix(at.Path, "/")
	at.Path = "/postgres"
	return goesBack{start(t, onServices(testservice.Redis(t).URL, postgres.URL)), database.Config{URL: postgres.URL, Timeout: testkit.Patience},
		func() { query(t, at.String(), "CREATE DATABASE "+name+"_copy TEMPLATE "+name) },
		func() {
			query(t, at.String(), "DROP DATABASE "+name+" WITH (FORCE)", "ALTER DATABASE "+name+"_copy RENAME TO "+name)
		}}
}

// postgresThatFailsOver replaces the database with a replica that lagged.
func postgresThatFailsOver(t *testing.T) goesBack {
	campaign.Only(t)
	postgres := testservice.PrivatePostgres(t)
	return goesBack{start(t, onServices(testservice.Redis(t).URL, postgres.URL)), database.Config{URL: postgres.URL, Timeout: testkit.Patience},
		postgres.Follow, postgres.FailOver}
}

// isSeen waits until the session store has recorded a position of the database that the
// copy lacks.
func (g goesBack) isSeen(t *testing.T) {
	t.Helper()
	db, err := database.Open(t.Context(), g.database)
	require.NoError(t, err)
	defer db.Close()
	// The store records the position between two moves.
	first, err := db.Position(t.Context())
	require.NoError(t, err)
	for range 2 {
		testkit.Eventually(t, answerLimit, "the position moves on", func() error {
			now, err := db.Position(context.WithoutCancel(t.Context()))
			if err == nil && now == first {
				err = errors.New("it does not")
			}
			if err == nil {
				first = now
			}
			return err
		})
	}
}

// TestSessionsThatTheDatabaseLostAreListedAgainOrRevoked replaces the database with an
// older copy, as a failover to a lagging replica does.
func TestSessionsThatTheDatabaseLostAreListedAgainOrRevoked(t *testing.T) {
	t.Parallel()
	each(t, map[string]func(*testing.T) goesBack{
		"SQLite": sqliteThatGoesBack, "SQLite, by hand": sqliteThatGoesBack, "PostgreSQL": postgresThatGoesBack,
		"PostgreSQL, promoted": postgresThatFailsOver,
	}, func(t *testing.T, name string, on func(*testing.T) goesBack) {
		g := on(t)
		server := g.server
		ada, bob := member(t, server), member(t, server)
		server.Stop()
		g.save()
		server.Start()
		lost, disabled, gone := ada.stranger(), bob.stranger(), member(t, server)
		lost.logIn()
		disabled.logIn()
		g.isSeen(t)
		g.restore()
		if strings.Contains(name, "by hand") {
			for _, want := range []string{"Sessions listed again: 2. Sessions revoked: 1.\n", "Sessions listed again: 0. Sessions revoked: 0.\n"} {
				if did := mustSucceed(t, server.Command("sessions", "reconcile")); did != want {
					t.Errorf("sessions reconcile: %q, want %q", did, want)
				}
			}
		}
		if strings.Contains(name, "SQLite") {
			server.Start()
		}
		if !strings.Contains(name, "by hand") {
			mustLog(t, server, `"sessions reconciled" listed=2 revoked=1`)
		}
		mustBe(t, asked, gone, "whose account is lost")
		mustBe(t, greeted, disabled, "whose login is lost")
		if got := ada.get("/devices"); !strings.Contains(got.text("main"), "Unknown browser") {
			t.Errorf("the devices are %s", got.text("main"))
		}
		ada.send("/devices", "/devices/end-others", nil)
		mustBe(t, asked, lost, "after its person logged out everywhere else")
		mustBe(t, greeted, ada, "who logged out elsewhere")
		if g.database.URL == "" { // the path of its socket may be too long for the command
			server.Stop()
		}
		mustSucceed(t, server.Command("users", "disable", "--email", bob.email), "Sessions revoked: 2")
		if g.database.URL == "" {
			server.Start()
		}
		mustBe(t, asked, disabled, "disabled")
	})
}

// TestAnotherDatabaseEndsNoSession starts a second server with the wrong DATABASE_URL.
func TestAnotherDatabaseEndsNoSession(t *testing.T) {
	t.Parallel()
	redis, wrong := testservice.Redis(t).URL, testkit.Postgres(t)
	server := start(t, onServices(redis, testkit.Postgres(t).URL))
	ada := member(t, server)
	other := start(t, onServices(redis, wrong.URL))
	goesBack{database: wrong}.isSeen(t)
	mustBe(t, greeted, ada.at(other.URL), "by a server with another database")
	mustBe(t, greeted, ada, "beside a server with another database")
	for _, at := range []*testprocess.Server{server, other} {
		if strings.Contains(at.Log(), "reconcil") {
			t.Error(at.LogTail())
		}
	}
}
