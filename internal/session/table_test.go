package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/session"
)

var tables = map[string]func(*world){"SQLite": onSQLite, "PostgreSQL": onPostgres}

// TestTwoProcessesCanShareTheTable opens one database twice, as two servers do, or a
// server and the operator's command.
func TestTwoProcessesCanShareTheTable(t *testing.T) {
	onEach(t, tables, func(t *testing.T, w *world) {
		managers := []*session.Manager{w.open(), w.open()}
		for range rounds() / 10 {
			b := w.browser(managers[0]).logIn(w.ada)
			old := *b
			endInFlight(t, b, managers, func() error {
				_, err := managers[1].RevokeAllOf(context.Background(), w.ada.ID, session.RevokedByOperator)
				return err
			})
			if who := old.who(); who != "" {
				t.Fatalf("the ended session is %q again", who)
			}
		}
		b := w.browser(managers[0]).logIn(w.ada)
		inParallel(writers, func(i int) {
			err := b.at(managers[i%2]).try(func(s *session.Session) error { return s.Set(fmt.Sprint("key", i), "value") })
			if err != nil {
				t.Error(err)
			}
		})
		if got := len(b.values()); got != writers {
			t.Errorf("%d values are left of %d", got, writers)
		}
	})
}

// TestAnExpiredRowIsNoSession covers a row that has expired and not been deleted yet.
func TestAnExpiredRowIsNoSession(t *testing.T) {
	onEach(t, tables, func(t *testing.T, w *world) {
		b := w.browser(w.open()).logIn(w.ada)
		s, err := b.load()
		require.NoError(t, err)
		expire := `UPDATE sessions SET expiry = julianday('now') - 1`
		if w.cfg.store.Postgres != nil {
			expire = `UPDATE sessions SET expiry = now() - interval '1 day'`
		}
		w.exec(expire)
		s.Flash("too late")
		if err := b.finish(s); !errors.Is(err, session.ErrEnded) || b.who() != "" {
			t.Errorf("a commit over an expired row: %v, greeted as %q", err, b.who())
		}
	})
}
