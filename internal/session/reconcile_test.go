package session_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/session"
)

// lossy is a DeviceStore in which Unlisted and Restore can fail. It calls restored
// after each Restore.
type lossy struct {
	session.DeviceStore
	unlisted, restore error
	restored          func(key string)
}

func (l *lossy) Unlisted(ctx context.Context, keys []string) ([]string, error) {
	if l.unlisted != nil {
		return nil, l.unlisted
	}
	return l.DeviceStore.Unlisted(ctx, keys)
}

func (l *lossy) Restore(ctx context.Context, d session.Device, now time.Time) error {
	if l.restore != nil {
		return l.restore
	}
	err := l.DeviceStore.Restore(ctx, d, now)
	if l.restored != nil {
		l.restored(d.SessionKey)
	}
	return err
}

// TestNoSessionIsReconciledWithADatabaseThatFails also checks that a session that ends
// in the meantime does not stay listed.
func TestNoSessionIsReconciledWithADatabaseThatFails(t *testing.T) {
	w := parallelOn(t, onRedis)
	devices := &lossy{DeviceStore: w.db.Devices()}
	m := w.open(func(cfg *config) { cfg.Devices = devices })
	opened := w.opened[m]
	lost, ending, gone := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.ada), w.browser(m).logIn(w.grace)
	guest := w.browser(m)
	guest.set("colour", "kelp")
	for _, statement := range []string{
		`DELETE FROM devices`, `DELETE FROM history`, `DELETE FROM people WHERE id = '` + w.grace.ID + `'`,
	} {
		w.exec(statement)
	}
	reconcile := func() (session.Reconciled, error) {
		return m.Reconcile(t.Context(), opened.Keys, w.db.Revocations())
	}
	for _, fail := range []*error{&devices.unlisted, &devices.restore} {
		*fail = errDevices
		if done, err := reconcile(); !errors.Is(err, errDevices) || done != (session.Reconciled{}) {
			t.Errorf("with devices that fail: %+v, %v", done, err)
		}
		*fail = nil
		w.wantKeys(4)
	}
	devices.restored = func(restored string) {
		if restored == hash(ending.token) {
			require.NoError(t, opened.Delete(t.Context(), restored))
		}
	}
	if done, err := reconcile(); err != nil || done != (session.Reconciled{Restored: 1, Revoked: 1}) {
		t.Errorf("reconciled: %+v, %v", done, err)
	}
	if w.isStored(gone.token) || !w.isStored(lost.token) || !w.isStored(guest.token) {
		t.Error("other sessions are stored than those of a guest and of an account")
	}
	live, err := w.db.Devices().Live(t.Context(), w.ada.ID, 10)
	if err != nil || len(live) != 1 || live[0].SessionKey != hash(lost.token) {
		t.Errorf("live: %+v, %v", live, err)
	}
	if done, err := reconcile(); err != nil || done != (session.Reconciled{}) {
		t.Errorf("again: %+v, %v", done, err)
	}
}
