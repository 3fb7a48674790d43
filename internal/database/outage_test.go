package database_test

import (
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
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
	"holdfast/internal/mail"
	"holdfast/internal/session"
	"holdfast/internal/throttle"
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

// calls returns every call to the database, by store and method. A word after a space
// names a variant.
func calls(db *database.DB) map[string]func(context.Context) error {
	store, devices, outbox, tries, revocations, id := db.People(), db.Devices(), db.Outbox(), db.Tries(), db.Revocations(), record(1).ID
	link := account.Link{Hash: strings.Repeat("l", 43), Purpose: account.PurposeReset, Person: id, Detail: record(1).Email, Created: birth, Expires: birth.Add(time.Hour)}
	event := account.Event{ID: strings.Repeat("e", 26), Person: id, Kind: account.EventLogIn, At: birth}
	email := account.Email{ID: strings.Repeat("m", 26), Kind: account.EmailReset, Person: id, To: record(1).Email, Created: birth}
	notes := account.Audit{Events: []account.Event{event}, Emails: []account.Email{email}}
	tell := func(account.Record) account.Audit { return notes }
	try := throttle.State{Tries: 1, Next: birth, Last: birth}
	device, browser := deviceOf(id, 1), strings.Repeat("b", 43)
	return map[string]func(context.Context) error{
		"DB.Ping":        db.Ping,
		"DB.Migrate":     func(ctx context.Context) error { _, err := db.Migrate(ctx); return err },
		"DB.LatestStart": func(ctx context.Context) error { _, err := db.LatestStart(ctx); return err },
		"DB.RecordStart": func(ctx context.Context) error { _, err := db.RecordStart(ctx, database.Start{At: birth}); return err },
		"DB.StartOf":     func(ctx context.Context) error { _, err := db.StartOf(ctx, 1); return err },
		"DB.Tidy":        db.Tidy,

		"DB.Position": func(ctx context.Context) error { _, err := db.Position(ctx); return err },
		"DB.AdvancePosition": func(ctx context.Context) error {
			_, err := db.AdvancePosition(ctx, database.Position{})
			return err
		},
		"DB.ClaimReconciling": func(ctx context.Context) error { _, err := db.ClaimReconciling(ctx, time.Minute); return err },

		"DB.CheckMigrated": func(ctx context.Context) error { _, err := db.CheckMigrated(ctx); return err },
		"DB.RecordSessionStore": func(ctx context.Context) error {
			return db.RecordSessionStore(ctx, database.SessionStore{Kind: "kind"})
		},
		"DB.ReplaceSessionStore": func(ctx context.Context) error {
			return db.ReplaceSessionStore(ctx, database.SessionStore{Kind: "kind"}, database.SessionStore{Kind: "other"})
		},
		"DB.RecordedSessionStore": func(ctx context.Context) error { _, _, err := db.RecordedSessionStore(ctx); return err },

		"People.Insert":     func(ctx context.Context) error { return store.Insert(ctx, record(2)) },
		"People.ByID":       func(ctx context.Context) error { _, err := store.ByID(ctx, id); return err },
		"People.ByEmailKey": func(ctx context.Context) error { _, err := store.ByEmailKey(ctx, record(1).EmailKey); return err },
		"People.ByFormerEmailKey": func(ctx context.Context) error {
			_, _, err := store.ByFormerEmailKey(ctx, record(1).EmailKey, birth)
			return err
		},
		"People.UpdateName":          func(ctx context.Context) error { _, err := store.UpdateName(ctx, id, "Ada"); return err },
		"People.UpdateDisabled":      func(ctx context.Context) error { _, err := store.UpdateDisabled(ctx, id, birth); return err },
		"People.UpdateDisabled off":  func(ctx context.Context) error { _, err := store.UpdateDisabled(ctx, id, time.Time{}); return err },
		"People.ReplacePasswordHash": func(ctx context.Context) error { return store.ReplacePasswordHash(ctx, id, hash, hash) },
		"People.PageByEmailKey":      func(ctx context.Context) error { _, err := store.PageByEmailKey(ctx, "", 10); return err },
		"People.SignUp": func(ctx context.Context) error {
			_, err := store.SignUp(ctx, record(3), notes, true, false)
			return err
		},
		"People.Audit":        func(ctx context.Context) error { return store.Audit(ctx, notes) },
		"People.AuditByEmail": func(ctx context.Context) error { return store.AuditByEmail(ctx, record(1).EmailKey, event) },
		"People.KnownBrowser": func(ctx context.Context) error {
			_, err := store.KnownBrowser(ctx, record(1).EmailKey, []string{browser})
			return err
		},
		"People.RecordLogin": func(ctx context.Context) error {
			return store.RecordLogin(ctx, account.Person{ID: id}, browser, birth, notes)
		},
		"People.SetPassword": func(ctx context.Context) error {
			_, err := store.SetPassword(ctx, account.NewPassword{Person: id, Hash: hash, Old: hash, At: birth}, notes)
			return err
		},
		"People.SetPassword by link": func(ctx context.Context) error {
			_, err := store.SetPassword(ctx, account.NewPassword{Person: id, Hash: hash, Link: &link, At: birth}, notes)
			return err
		},
		"People.InsertLink": func(ctx context.Context) error { return store.InsertLink(ctx, link) },
		"People.FindLink":   func(ctx context.Context) error { _, err := store.FindLink(ctx, link.Hash, birth); return err },
		"People.LinkDone":   func(ctx context.Context) error { _, err := store.LinkDone(ctx, link.Hash); return err },
		"People.AskEmail":   func(ctx context.Context) error { return store.AskEmail(ctx, id, record(4).EmailKey, birth, notes) },
		"People.ConfirmEmail": func(ctx context.Context) error {
			_, err := store.ConfirmEmail(ctx, link, record(1).EmailKey, birth, notes)
			return err
		},
		"People.MoveEmail": func(ctx context.Context) error {
			_, err := store.MoveEmail(ctx, link, account.Move{Email: record(4).Email, Key: record(4).EmailKey, At: birth}, tell)
			return err
		},
		"People.MoveEmail back": func(ctx context.Context) error {
			_, err := store.MoveEmail(ctx, link, account.Move{Email: record(4).Email, Key: record(4).EmailKey, Hash: hash, At: birth}, tell)
			return err
		},
		"People.History":     func(ctx context.Context) error { _, err := store.History(ctx, id, account.Event{}, 0, 10); return err },
		"People.Browsers":    func(ctx context.Context) error { _, err := store.Browsers(ctx, id); return err },
		"People.PasswordSet": func(ctx context.Context) error { _, err := store.PasswordSet(ctx, id); return err },
		"People.Addresses":   func(ctx context.Context) error { _, err := store.Addresses(ctx, id); return err },
		"People.CloseLater":  func(ctx context.Context) error { return store.CloseLater(ctx, id, time.Hour, birth, notes) },
		"People.KeepPerson":  func(ctx context.Context) error { _, err := store.KeepPerson(ctx, link, birth, notes); return err },
		"People.Close": func(ctx context.Context) error {
			_, err := store.Close(ctx, id, nil, account.Audit{Emails: notes.Emails})
			return err
		},

		"Outbox.Take": func(ctx context.Context) error {
			_, _, err := outbox.Take(ctx, time.Hour)
			return err
		},
		"Outbox.Remove":   func(ctx context.Context) error { return outbox.Remove(ctx, email) },
		"Outbox.Postpone": func(ctx context.Context) error { return outbox.Postpone(ctx, email, time.Hour) },

		"Tries.Find":       func(ctx context.Context) error { _, _, err := tries.Find(ctx, "try"); return err },
		"Tries.Swap":       func(ctx context.Context) error { _, err := tries.Swap(ctx, "try", throttle.State{}, try); return err },
		"Tries.Swap again": func(ctx context.Context) error { _, err := tries.Swap(ctx, "try", try, try); return err },
		"Tries.Swap away":  func(ctx context.Context) error { _, err := tries.Swap(ctx, "try", try, throttle.State{}); return err },
		"Tries.Remove":     func(ctx context.Context) error { return tries.Remove(ctx, "try") },

		"Revocations.Waiting":   func(ctx context.Context) error { _, err := revocations.Waiting(ctx, 10); return err },
		"Revocations.WaitingOf": func(ctx context.Context) error { _, err := revocations.WaitingOf(ctx, id); return err },
		"Revocations.Removed":   func(ctx context.Context) error { return revocations.Removed(ctx, []string{device.SessionKey}) },

		"Devices.Insert":        func(ctx context.Context) error { return devices.Insert(ctx, device) },
		"Devices.Confirm":       func(ctx context.Context) error { _, err := devices.Confirm(ctx, device.ID); return err },
		"Devices.NameOf":        func(ctx context.Context) error { _, err := devices.NameOf(ctx, id); return err },
		"Devices.Find":          func(ctx context.Context) error { _, err := devices.Find(ctx, id, device.ID); return err },
		"Devices.FindByKey":     func(ctx context.Context) error { _, err := devices.FindByKey(ctx, device.SessionKey); return err },
		"Devices.Live":          func(ctx context.Context) error { _, err := devices.Live(ctx, id, 10); return err },
		"Devices.Past":          func(ctx context.Context) error { _, err := devices.Past(ctx, id, session.Device{}, 0, 10); return err },
		"Devices.ListUnexpired": func(ctx context.Context) error { _, err := devices.ListUnexpired(ctx, id, "", 10); return err },
		"Devices.RevokeByKey": func(ctx context.Context) error {
			return devices.RevokeByKey(ctx, []string{device.SessionKey}, session.RevokedByOwner)
		},
		"Devices.Unlisted": func(ctx context.Context) error {
			_, err := devices.Unlisted(ctx, []string{device.SessionKey})
			return err
		},
		"Devices.Restore": func(ctx context.Context) error { return devices.Restore(ctx, device, dawn) },
		"Devices.Expire":  func(ctx context.Context) error { return devices.Expire(ctx, []string{device.ID}) },
		"Devices.Clock":   func(ctx context.Context) error { _, err := devices.Clock(ctx); return err },
		"Devices.RevokedSince": func(ctx context.Context) error {
			return devices.RevokedSince(ctx, birth, func([]string) error { return nil })
		},
		"Devices.RevokeAll": func(ctx context.Context) error {
			return devices.RevokeAll(ctx, session.RevokedByOwner, func(int) {})
		},
		"Devices.Forget": func(ctx context.Context) error { return devices.Forget(ctx, time.Hour) },
	}
}

func TestEveryCallOfTheDatabaseIsTriedInAnOutage(t *testing.T) {
	db := open(t, database.Config{DataDir: t.TempDir()})
	tried := map[string]bool{}
	for name := range calls(db) {
		call, _, _ := strings.Cut(name, " ")
		tried[call] = true
	}
	asked := reflect.TypeFor[context.Context]()
	for name, kind := range map[string]reflect.Type{
		"People": reflect.TypeFor[account.Store](), "Outbox": reflect.TypeFor[mail.Outbox](), "Tries": reflect.TypeFor[throttle.Store](),
		"Revocations": reflect.TypeFor[session.Revocations](), "Devices": reflect.TypeFor[session.DeviceStore](), "DB": reflect.TypeOf(db),
	} {
		for i := range kind.NumMethod() {
			method, context := kind.Method(i), 0
			if kind.Kind() != reflect.Interface {
				context = 1 // after the receiver
			}
			if in := method.Type; in.NumIn() > context && in.In(context) == asked && !tried[name+"."+method.Name] {
				t.Errorf("%s.%s is not tried", name, method.Name)
			}
			delete(tried, name+"."+method.Name)
		}
	}
	if len(tried) != 0 {
		t.Errorf("there are no calls %v", tried)
	}
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

func TestPostgresStoppedIsUnavailableUntilItIsBack(t *testing.T) {
	t.Parallel()
	server := testservice.PrivatePostgres(t)
	fill(t, server.URL)
	db := open(t, impatient(server.URL))
	for range 2 {
		server.Stop()
		allUnavailable(t, db)
		begun := time.Now()
		_, err := database.Open(t.Context(), impatient(server.URL))
		if !errors.Is(err, account.ErrUnavailable) || time.Since(begun) > answerLimit() {
			t.Errorf("open a stopped server: %v after %s", err, time.Since(begun))
		}
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
	begun := time.Now()
	_, err := database.Open(t.Context(), impatient(server.URL))
	if !errors.Is(err, account.ErrUnavailable) || time.Since(begun) > answerLimit() {
		t.Errorf("open a hanging server: %v after %s", err, time.Since(begun))
	}
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
	exec := func(statement string) {
		t.Helper()
		if _, err := db.Pool().Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	exec(`CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END'`)
	for _, table := range []string{"people", "history", "outbox"} {
		exec(`CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT OR UPDATE OR DELETE ON ` + table + ` DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()`)
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
		if _, err := db.Pool().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
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
	exec := func(query string) {
		t.Helper()
		if _, err := db.SQL().ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("table locked", func(t *testing.T) {
		tx, err := patient.SQL().BeginTx(t.Context(), nil)
		require.NoError(t, err)
		if _, err := tx.ExecContext(t.Context(), `LOCK TABLE people`); err != nil {
			t.Fatal(err)
		}
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
		exec(`CREATE ROLE narrow LOGIN PASSWORD 'narrow' CONNECTION LIMIT 1`)
		defer exec(`DROP ROLE narrow`)
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
		exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		awaitPing(t, db)
	})
	t.Run("not migrated", func(t *testing.T) {
		exec(`DROP TABLE starts`)
		_, err := db.RecordStart(t.Context(), database.Start{At: birth})
		if err == nil || errors.Is(err, account.ErrUnavailable) || errors.Is(err, io.EOF) {
			t.Errorf("a missing table is no outage: %v", err)
		}
	})
}
