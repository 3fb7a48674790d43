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
	"holdfast/internal/dev/testservice"
)

// In an outage a call answers within this, and the service is back this soon
// after the database is.
const (
	answerLimit = 3 * time.Second
	returnLimit = 2 * time.Second
)

// calls is everything one can ask of a database.
func calls(db *database.DB) map[string]func(context.Context) error {
	store, id := db.People(), record(1).ID
	return map[string]func(context.Context) error{
		"Ping":                db.Ping,
		"Migrate":             func(ctx context.Context) error { _, err := db.Migrate(ctx); return err },
		"RecordStart":         func(ctx context.Context) error { _, err := db.RecordStart(ctx, database.Start{At: birth}); return err },
		"Insert":              func(ctx context.Context) error { return store.Insert(ctx, record(2)) },
		"ByID":                func(ctx context.Context) error { _, err := store.ByID(ctx, id); return err },
		"ByEmailKey":          func(ctx context.Context) error { _, err := store.ByEmailKey(ctx, record(1).EmailKey); return err },
		"UpdateName":          func(ctx context.Context) error { _, err := store.UpdateName(ctx, id, "Ada"); return err },
		"UpdateDisabled":      func(ctx context.Context) error { _, err := store.UpdateDisabled(ctx, id, birth); return err },
		"UpdateDisabled off":  func(ctx context.Context) error { _, err := store.UpdateDisabled(ctx, id, time.Time{}); return err },
		"ReplacePasswordHash": func(ctx context.Context) error { return store.ReplacePasswordHash(ctx, id, hash, hash) },
		"Close":               func(ctx context.Context) error { return store.Close(ctx, id, account.Notes{}) },
		"PageByEmailKey":      func(ctx context.Context) error { _, err := store.PageByEmailKey(ctx, "", 10); return err },
	}
}

// allUnavailable makes every call, several times at once so that they outnumber
// the connections, and looks at what each says and how soon.
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
				if took := time.Since(begun); took > answerLimit {
					t.Errorf("%s: answered after %s", name, took)
				}
			})
		}
	}
	all.Wait()
}

func TestPostgresStoppedIsUnavailableUntilItIsBack(t *testing.T) {
	server := testservice.PrivatePostgres(t)
	db := open(t, database.Config{URL: server.URL})
	migrate(t, db)
	insert(t, db.People(), record(1))
	for range 2 {
		server.Stop()
		allUnavailable(t, db)
		begun := time.Now()
		_, err := database.Open(t.Context(), database.Config{URL: server.URL})
		if !errors.Is(err, account.ErrUnavailable) || time.Since(begun) > answerLimit {
			t.Errorf("open a stopped server: %v after %s", err, time.Since(begun))
		}
		server.Start()
		// With the handle from before.
		soon(t, returnLimit, db.Ping)
		if got, err := db.People().ByID(t.Context(), record(1).ID); err != nil || got.Name != record(1).Name {
			t.Errorf("after the outage: %+v, %v", got, err)
		}
	}
}

func TestPostgresHangingIsUnavailableUntilItGoesOn(t *testing.T) {
	server := testservice.PrivatePostgres(t)
	db := open(t, database.Config{URL: server.URL})
	migrate(t, db)
	insert(t, db.People(), record(1))
	server.Pause()
	allUnavailable(t, db)
	begun := time.Now()
	_, err := database.Open(t.Context(), database.Config{URL: server.URL})
	if !errors.Is(err, account.ErrUnavailable) || time.Since(begun) > answerLimit {
		t.Errorf("open a hanging server: %v after %s", err, time.Since(begun))
	}
	other := make(chan error, 1)
	server.Resume()
	soon(t, returnLimit, db.Ping)
	// Not one connection came back, but all that may be open.
	for range database.DefaultMaxConns {
		go func() { other <- db.Ping(context.Background()) }()
	}
	for range database.DefaultMaxConns {
		if err := <-other; err != nil {
			t.Errorf("after the outage: %v", err)
		}
	}
}

// TestAChangeThatFailsSaysWhetherItMayHaveBeenMade: one that PostgreSQL refused or
// never got was not, one that it has not answered may have been.
func TestAChangeThatFailsSaysWhetherItMayHaveBeenMade(t *testing.T) {
	server := testservice.PrivatePostgres(t)
	db := open(t, database.Config{URL: server.URL, Timeout: time.Second})
	migrate(t, db)
	insert(t, db.People(), record(1))
	changes := map[string]bool{"Insert": true, "UpdateName": true, "UpdateDisabled": true, "UpdateDisabled off": true}
	for _, fault := range []struct {
		name       string
		begin, end func()
		unknown    bool
	}{
		{"read-only", func() { readOnly(t, db, "on") }, func() { readOnly(t, db, "off") }, false},
		{"hanging", server.Pause, server.Resume, true},
		{"stopped", server.Stop, server.Start, false},
	} {
		for name, call := range calls(db) {
			soon(t, returnLimit, db.Ping) // on a connection that the call finds open
			fault.begin()
			err := call(context.Background())
			fault.end()
			if want := fault.unknown && changes[name]; errors.Is(err, account.ErrOutcomeUnknown) != want {
				t.Errorf("%s, %s: %v; of unknown outcome: %t", fault.name, name, err, !want)
			}
		}
	}
}

// readOnly makes PostgreSQL refuse writes on the connections there are.
func readOnly(t *testing.T, db *database.DB, to string) {
	t.Helper()
	for _, statement := range []string{"SET default_transaction_read_only = off", "ALTER SYSTEM SET default_transaction_read_only = " + to, "SELECT pg_reload_conf()"} {
		if _, err := db.Pool().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCloseDoesNotWaitForAHangingServer(t *testing.T) {
	server := testservice.PrivatePostgres(t)
	db, err := database.Open(t.Context(), database.Config{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	server.Pause()
	defer server.Resume()
	if err := db.Ping(t.Context()); !errors.Is(err, account.ErrUnavailable) {
		t.Errorf("ping: %v", err)
	}
	begun := time.Now()
	if err := db.Close(); err != nil || time.Since(begun) > answerLimit {
		t.Errorf("closed after %s: %v", time.Since(begun), err)
	}
}

func TestAFullPoolShedsLoadInTime(t *testing.T) {
	db := open(t, database.Config{URL: testservice.Postgres(t).URL + "?pool_max_conns=1"})
	migrate(t, db)
	tx, err := db.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	calls := calls(db)
	delete(calls, "Migrate") // it has a connection of its own
	for name, call := range calls {
		begun := time.Now()
		// The caller may be more impatient than the default.
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := call(ctx); !errors.Is(err, account.ErrUnavailable) || time.Since(begun) > answerLimit {
			t.Errorf("%s: %v after %s", name, err, time.Since(begun))
		}
		cancel()
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("with the connection free again: %v", err)
	}
}

func TestPostgresThatCannotServeIsUnavailable(t *testing.T) {
	server := testservice.PrivatePostgres(t)
	db := open(t, database.Config{URL: server.URL})
	migrate(t, db)
	insert(t, db.People(), record(1))
	rename := func() error { _, err := db.People().UpdateName(t.Context(), record(1).ID, "Ada"); return err }
	exec := func(query string) {
		t.Helper()
		if _, err := db.SQL().ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("table locked", func(t *testing.T) {
		tx, err := db.SQL().BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), `LOCK TABLE people`); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := rename(); !errors.Is(err, account.ErrUnavailable) || time.Since(begun) > answerLimit {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := rename(); err != nil {
			t.Errorf("unlocked: %v", err)
		}
	})
	t.Run("too many connections", func(t *testing.T) {
		exec(`CREATE ROLE narrow LOGIN PASSWORD 'narrow' CONNECTION LIMIT 1`)
		url := testURL(t, server.URL, "narrow", "narrow")
		first := open(t, database.Config{URL: url})
		_, err := database.Open(t.Context(), database.Config{URL: url})
		if !errors.Is(err, account.ErrUnavailable) {
			t.Errorf("second: %v", err)
		}
		if err := first.Ping(t.Context()); err != nil {
			t.Errorf("first: %v", err)
		}
	})
	t.Run("read-only", func(t *testing.T) {
		readOnly := open(t, database.Config{URL: server.URL + "?default_transaction_read_only=on"})
		if err := readOnly.People().Insert(t.Context(), record(3)); !errors.Is(err, account.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		if _, err := readOnly.People().ByID(t.Context(), record(1).ID); err != nil {
			t.Errorf("reading: %v", err)
		}
	})
	t.Run("connections cut", func(t *testing.T) {
		exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'holdfast' AND pid <> pg_backend_pid()`)
		soon(t, returnLimit, db.Ping)
	})
	t.Run("not migrated", func(t *testing.T) {
		exec(`DROP TABLE starts`)
		_, err := db.RecordStart(t.Context(), database.Start{At: birth})
		if err == nil || errors.Is(err, account.ErrUnavailable) || errors.Is(err, io.EOF) {
			t.Errorf("a missing table is no outage: %v", err)
		}
	})
}
