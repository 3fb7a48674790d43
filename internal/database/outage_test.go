package database_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/fault"
)

// impatient returns a configuration for PostgreSQL with the time limit that calls have
// in an outage.
func impatient(url string) database.Config {
	return database.Config{URL: url, Timeout: campaign.Number(6*time.Second, database.DefaultTimeout)}
}

// answerLimit is how soon a call with that limit answers.
func answerLimit() time.Duration { return campaign.Number(testkit.Patience, 3*time.Second) }

// awaitPing waits until the service is back. That must take no longer than this limit
// after the database is back.
func awaitPing(t *testing.T, db *database.DB) {
	t.Helper()
	limit := campaign.Number(testkit.Patience, 2*time.Second)
	testkit.Steadily(t, limit, "ping", func() error { return db.Ping(t.Context()) })
}

// fill migrates a database and inserts record 1, with enough time on a busy machine.
func fill(t *testing.T, url string) {
	t.Helper()
	db, err := database.Open(t.Context(), database.Config{URL: url, Timeout: testkit.Patience})
	require.NoError(t, err)
	defer db.Close()
	migrate(t, db)
	insert(t, db.People(), record(1))
}

// allUnavailable makes every call several times at the same time, so that they
// outnumber the connections, and checks what each returns and how soon.
func allUnavailable(t *testing.T, db *database.DB) {
	t.Helper()
	var all sync.WaitGroup
	for name, call := range calls(db) {
		for range 4 {
			all.Go(func() {
				begun := time.Now()
				err := call(context.Background())
				if !errors.Is(err, account.ErrUnavailable) || err.Error() == account.ErrUnavailable.Error() {
					t.Errorf("%s: %v; want ErrUnavailable with its cause", name, err)
				}
				limit := answerLimit()
				if name == "DB.Tidy" {
					limit *= 2 // a few tables first, then the others
				}
				if took := time.Since(begun); took > limit {
					t.Errorf("%s: answered after %s", name, took)
				}
			})
		}
	}
	all.Wait()
}

// openIsUnavailable checks that opening a database fails in time.
func openIsUnavailable(t *testing.T, url string) {
	t.Helper()
	begun := time.Now()
	_, err := database.Open(t.Context(), impatient(url))
	if !errors.Is(err, account.ErrUnavailable) || time.Since(begun) > answerLimit() {
		t.Errorf("open: %v after %s", err, time.Since(begun))
	}
}

func TestPostgresStoppedIsUnavailableUntilItIsBack(t *testing.T) {
	t.Parallel()
	server := testservice.PrivatePostgres(t)
	fill(t, server.URL)
	db := open(t, impatient(server.URL))
	for range 2 {
		server.Stop()
		allUnavailable(t, db)
		openIsUnavailable(t, server.URL)
		server.Start()
		// Use the handle from before the outage.
		awaitPing(t, db)
		if got, err := db.People().ByID(t.Context(), record(1).ID); err != nil || got.Name != record(1).Name {
			t.Errorf("after the outage: %+v, %v", got, err)
		}
	}
}

func TestPostgresHangingIsUnavailableUntilItGoesOn(t *testing.T) {
	t.Parallel()
	server := testservice.PrivatePostgres(t)
	fill(t, server.URL)
	db := open(t, impatient(server.URL))
	server.Pause()
	allUnavailable(t, db)
	openIsUnavailable(t, server.URL)
	server.Resume()
	// All connections that may be open must come back, not only one.
	testkit.Steadily(t, testkit.Patience, "ping on every connection", func() error {
		answers := make(chan error)
		for range database.DefaultMaxConns {
			go func() { answers <- db.Ping(context.Background()) }()
		}
		var all error
		for range database.DefaultMaxConns {
			all = errors.Join(all, <-answers)
		}
		return all
	})
}

// TestAChangeThatFailsSaysWhetherItMayHaveBeenMade: a change that PostgreSQL refused or
// never received was not made; one that it has not answered may have been. If it has
// not answered the first of several statements, nothing was changed.
func TestAChangeThatFailsSaysWhetherItMayHaveBeenMade(t *testing.T) {
	t.Parallel()
	server := testservice.PrivatePostgres(t)
	fill(t, server.URL)
	cfg := impatient(server.URL)
	cfg.MaxConns = 100
	db := open(t, cfg)
	changes := map[string]bool{
		"People.UpdateName": true, "People.UpdateDisabled": true, "People.UpdateDisabled off": true,
	}
	for _, outage := range []struct {
		name       string
		begin, end func()
		unknown    bool
	}{
		{"read-only", func() { readOnly(t, db, "on") }, func() { readOnly(t, db, "off") }, false},
		{"hanging", server.Pause, server.Resume, true},
		{"stopped", server.Stop, server.Start, false},
	} {
		all := calls(db)
		openConnections(t, db, len(all)) // each call finds an open one
		outage.begin()
		var done sync.WaitGroup
		for name, call := range all {
			done.Go(func() {
				err := call(context.Background())
				if want := outage.unknown && changes[name]; errors.Is(err, fault.ErrOutcomeUnknown) != want {
					t.Errorf("%s, %s: %v; of unknown outcome: %t", outage.name, name, err, !want)
				}
			})
		}
		done.Wait()
		outage.end()
		awaitPing(t, db)
	}
}

// openConnections opens n connections and leaves them idle.
func openConnections(t *testing.T, db *database.DB, n int) {
	t.Helper()
	for range n {
		var conn interface{ Release() }
		testkit.Eventually(t, time.Minute, "open a connection", func() (err error) {
			conn, err = db.Pool().Acquire(t.Context())
			return err
		})
		defer conn.Release()
	}
}

// TestAChangeWhoseCommitIsNotAnsweredSaysThatItMayHaveBeenMade: everything in the
// transaction is answered except its COMMIT.
func TestAChangeWhoseCommitIsNotAnsweredSaysThatItMayHaveBeenMade(t *testing.T) {
	t.Parallel()
	cfg := testkit.Postgres(t)
	cfg.Timeout = time.Minute
	db := open(t, cfg)
	insert(t, db.People(), record(1))
	all := calls(db)
	require.NoError(t, all["People.InsertLink"](t.Context()))
	run(t, db, `CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END'`)
	for _, table := range []string{"people", "history", "outbox"} {
		run(t, db, `CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT OR UPDATE OR DELETE ON `+table+` DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()`)
	}
	for _, name := range []string{
		"People.Insert", "People.UpdateName", "People.UpdateDisabled", "People.UpdateDisabled off",
		"People.SignUp", "People.Audit", "People.RecordLogin", "People.SetPassword", "People.SetPassword by link",
		"People.ConfirmEmail", "People.MoveEmail", "People.MoveEmail back", "People.Close",
	} {
		over, answered := make(chan struct{}), make(chan error, 1)
		go func() { answered <- all[name](timedOut{t.Context(), over}) }()
		testkit.Eventually(t, testkit.Patience, name+" waits in its commit", func() error {
			var waiting int
			err := db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`).Scan(&waiting)
			if err == nil && waiting == 0 {
				err = errors.New("nothing waits")
			}
			return err
		})
		close(over)
		err := <-answered
		if !errors.Is(err, account.ErrUnavailable) || !errors.Is(err, fault.ErrOutcomeUnknown) {
			t.Errorf("%s: %v", name, err)
		}
		// Roll back what was about to be committed, for the next call.
		testkit.Eventually(t, testkit.Patience, "end the connections", func() error {
			_, err := db.Pool().Exec(t.Context(), `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
			return err
		})
	}
}

// timedOut is a context that times out when over is closed.
type timedOut struct {
	context.Context
	over chan struct{}
}

func (c timedOut) Done() <-chan struct{} { return c.over }

func (c timedOut) Err() error {
	select {
	case <-c.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// readOnly makes PostgreSQL refuse writes on existing connections.
func readOnly(t *testing.T, db *database.DB, to string) {
	t.Helper()
	for _, statement := range []string{"SET default_transaction_read_only = off", "ALTER SYSTEM SET default_transaction_read_only = " + to, "SELECT pg_reload_conf()"} {
		_, err := db.Pool().Exec(t.Context(), statement)
		require.NoError(t, err)
	}
}

func TestCloseDoesNotWaitForAHangingServer(t *testing.T) {
	t.Parallel()
	server := testservice.PrivatePostgres(t)
	db, err := database.Open(t.Context(), impatient(server.URL))
	require.NoError(t, err)
	server.Pause()
	defer server.Resume()
	if err := db.Ping(t.Context()); !errors.Is(err, account.ErrUnavailable) {
		t.Errorf("ping: %v", err)
	}
	begun := time.Now()
	if err := db.Close(); err != nil || time.Since(begun) > answerLimit() {
		t.Errorf("closed after %s: %v", time.Since(begun), err)
	}
}

func TestAFullPoolShedsLoadInTime(t *testing.T) {
	t.Parallel()
	cfg := testkit.Postgres(t)
	cfg.MaxConns = 1
	db := open(t, cfg)
	tx, err := db.SQL().BeginTx(t.Context(), nil)
	require.NoError(t, err)
	calls := calls(db)
	delete(calls, "DB.Migrate") // it uses a separate connection
	// The caller's limit may be shorter than the configured one.
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	begun := time.Now()
	var all sync.WaitGroup
	for name, call := range calls {
		all.Go(func() {
			if err := call(ctx); !errors.Is(err, account.ErrUnavailable) || time.Since(begun) > answerLimit() {
				t.Errorf("%s: %v after %s", name, err, time.Since(begun))
			}
		})
	}
	all.Wait()
	require.NoError(t, tx.Rollback())
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("with the connection free again: %v", err)
	}
}

func TestPostgresThatCannotServeIsUnavailable(t *testing.T) {
	t.Parallel()
	server := testkit.Postgres(t)
	db, patient := open(t, impatient(server.URL)), open(t, server)
	insert(t, patient.People(), record(1))
	rename := func() error { _, err := db.People().UpdateName(t.Context(), record(1).ID, "Ada"); return err }
	t.Run("table locked", func(t *testing.T) {
		tx, err := patient.SQL().BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = tx.ExecContext(t.Context(), `LOCK TABLE people`)
		require.NoError(t, err)
		begun := time.Now()
		if err := rename(); !errors.Is(err, account.ErrUnavailable) || time.Since(begun) > answerLimit() {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		require.NoError(t, tx.Rollback())
		if err := rename(); err != nil {
			t.Errorf("unlocked: %v", err)
		}
	})
	t.Run("too many connections", func(t *testing.T) {
		run(t, db, `CREATE ROLE narrow LOGIN PASSWORD 'narrow' CONNECTION LIMIT 1`)
		defer run(t, db, `DROP ROLE narrow`)
		url := testURL(t, server.URL, "narrow", "narrow")
		first := open(t, impatient(url))
		_, err := database.Open(t.Context(), impatient(url))
		if !errors.Is(err, account.ErrUnavailable) {
			t.Errorf("second: %v", err)
		}
		if err := first.Ping(t.Context()); err != nil {
			t.Errorf("first: %v", err)
		}
	})
	t.Run("read-only", func(t *testing.T) {
		readOnly := open(t, impatient(server.URL+"?default_transaction_read_only=on"))
		if err := readOnly.People().Insert(t.Context(), record(3)); !errors.Is(err, account.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		if _, err := readOnly.People().ByID(t.Context(), record(1).ID); err != nil {
			t.Errorf("reading: %v", err)
		}
	})
	t.Run("connections cut", func(t *testing.T) {
		run(t, db, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		awaitPing(t, db)
	})
	t.Run("not migrated", func(t *testing.T) {
		run(t, db, `DROP TABLE starts`)
		_, err := db.RecordStart(t.Context(), database.Start{At: birth})
		if err == nil || errors.Is(err, account.ErrUnavailable) || errors.Is(err, io.EOF) {
			t.Errorf("a missing table is no outage: %v", err)
		}
	})
}
