package session_test

import (
	"context"
	"fmt"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/session"
	"holdfast/internal/session/store"
)

// ending is an operation that revokes the session of Ada in b; other is another session
// of hers. goesOn means that she stays logged in in b, with a new token.
type ending struct {
	name   string
	act    func(b, other *browser) error
	goesOn bool
}

// endings returns all such operations at a Manager. The first three succeed while the
// database is read-only.
func endings(w *world, m *session.Manager) []ending {
	ctx := context.Background()
	return []ending{
		{"log-out", func(b, _ *browser) error { return b.try(logOut) }, false},
		{"end of the device", func(b, other *browser) error {
			id := b.device()
			return other.try(func(s *session.Session) error { return s.RevokeDevice(ctx, id) })
		}, false},
		{"end of all others", func(_, other *browser) error { return other.try(revokeOthers) }, false},
		{"end by the operator", func(b, _ *browser) error {
			return m.RevokeDevice(ctx, w.ada.ID, b.device(), session.RevokedByOperator)
		}, false},
		{"disabling", func(*browser, *browser) error { return w.disable(m) }, false},
		{"end of all sessions", func(*browser, *browser) error {
			_, err := m.RevokeAll(ctx, session.RevokedByOperator, func(int) {})
			return err
		}, false},
		{"log-in over it", func(b, _ *browser) error { return b.try(logIn(w.ada)) }, true},
	}
}

// disable disables Ada's account as the operator's command does, and enables it again.
func (w *world) disable(m *session.Manager) error {
	ctx := context.Background()
	if _, err := w.db.People().UpdateDisabled(ctx, w.ada.ID, w.clock.Now()); err != nil {
		return err
	}
	if _, err := m.RevokeAllOf(ctx, w.ada.ID, session.RevokedByDisable); err != nil {
		return err
	}
	return w.enable()
}

func (w *world) enable() error {
	_, err := w.db.People().UpdateDisabled(context.Background(), w.ada.ID, noTime)
	return err
}

// putter writes bytes under a token past the Manager, nil where that cannot be.
func (w *world) putter() func(token string, stored []byte) {
	var statement string
	switch {
	case w.cfg.store.Kind == store.KindRedis:
		return func(token string, stored []byte) {
			w.t.Helper()
			if _, err := redis.String(w.raw("SET", key(token), stored)); err != nil {
				w.t.Fatal(err)
			}
		}
	case w.cfg.store.SQLite != nil:
		statement = `REPLACE INTO sessions (token, data, expiry) VALUES ($1, $2, julianday('now') + 1)`
	case w.cfg.store.Postgres != nil:
		statement = `INSERT INTO sessions VALUES ($1, $2, now() + interval '1 day') ON CONFLICT (token) DO UPDATE SET data = EXCLUDED.data`
	default:
		return nil
	}
	return func(token string, stored []byte) {
		w.t.Helper()
		result, err := w.db.SQL().Exec(statement, hash(token), stored)
		if err != nil {
			w.t.Fatal(fmt.Errorf("write past the Manager: %w", err))
		}
		if n, err := result.RowsAffected(); n != 1 {
			w.t.Fatal(n, err)
		}
	}
}
