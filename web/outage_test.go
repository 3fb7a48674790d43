package web_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/session"
)

// A change of an account ends sessions in the database. A store of sessions that
// is away at that moment lets go of them when it is back, before it is believed.
func TestWhatAChangeHasEndedStaysEndedThroughAnOutageOfTheStore(t *testing.T) {
	for name, change := range map[string]func(w *world, p person) error{
		"password": func(w *world, p person) error {
			_, err := w.accounts.ChangePassword(w.t.Context(), p.id, p.password, otherPassword, "", account.Sender{})
			return err
		},
		"deletion": func(w *world, p person) error { return w.accounts.Close(w.t.Context(), p.id, account.Sender{}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, services(t), options{redisTimeout: time.Second})
			p, bystander := w.person("Ada"), w.member(w.person("Bob"))
			b := w.member(p)
			w.stores.redis.Pause()
			if err := change(w, p); err != nil {
				t.Fatal(err)
			}
			if err := w.sessions.Revoke(t.Context(), w.db.Revocations()); !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("with the store away: %v", err)
			}
			if waiting := w.rows(`SELECT session_key FROM revocations WHERE removed_ms IS NULL`); len(waiting) != 1 {
				t.Errorf("%d sessions wait to be removed, want 1", len(waiting))
			}
			w.stores.redis.Resume()
			w.until("the store is back", func() bool { return bystander.get("/profile").status == http.StatusOK })
			b.get("/profile").wantRedirect("/login?next=%2Fprofile")
			if err := w.sessions.Revoke(t.Context(), w.db.Revocations()); err != nil {
				t.Error(err)
			}
			if waiting := w.rows(`SELECT session_key FROM revocations WHERE removed_ms IS NULL`); len(waiting) != 0 {
				t.Errorf("%d sessions still wait", len(waiting))
			}
		})
	}
}
