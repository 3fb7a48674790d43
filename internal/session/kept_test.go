package session_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/session"
)

// readOnly is a DeviceStore that records no revocation or expiry while on is set.
type readOnly struct {
	session.DeviceStore
	on atomic.Bool
}

func (r *readOnly) RevokeByKey(ctx context.Context, keys []string, why session.RevokeReason) error {
	if r.on.Load() {
		return errDevices
	}
	return r.DeviceStore.RevokeByKey(ctx, keys, why)
}

func (r *readOnly) Expire(ctx context.Context, ids []string) error {
	if r.on.Load() {
		return errDevices
	}
	return r.DeviceStore.Expire(ctx, ids)
}

// TestAQueuedRevocationIsNotUndoneByAnOlderFile revokes a session while the database is
// read-only, stops the server, and restores an older copy of the sessions. The next
// start knows of the revocation from the queue alone.
func TestAQueuedRevocationIsNotUndoneByAnOlderFile(t *testing.T) {
	for place, with := range files {
		for i, end := range endings(nil, nil)[:3] {
			t.Run(place+", "+end.name, func(t *testing.T) {
				w := parallelOn(t, with)
				devices := &readOnly{DeviceStore: w.cfg.Devices}
				withDevices := func(cfg *config) { cfg.Devices = devices }
				m := w.open()
				b, other := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.ada)
				old := *b
				require.NoError(t, w.close(m))
				before := filepath.Join(t.TempDir(), "before")
				copyFolder(t, w.cfg.store.DataDir, before)

				devices.on.Store(true)
				m = w.open(withDevices)
				require.NoError(t, endings(w, m)[i].act(b.at(m), other.at(m)))
				if old.at(m).who() != "" {
					t.Fatal("the session lives")
				}
				require.NoError(t, w.close(m))
				require.NoError(t, os.RemoveAll(w.cfg.store.DataDir))
				copyFolder(t, before, w.cfg.store.DataDir)
				m = w.open(withDevices)
				old.at(m).wantWho("")
				other.at(m).wantWho("Ada")
				devices.on.Store(false)
				w.maintained(t, m, w.reasonOf(old.token))
			})
		}
	}
}

// maintained runs Maintain until it has stored a revocation.
func (w *world) maintained(t *testing.T, m *session.Manager, reason func() error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { defer close(over); m.Maintain(ctx) }()
	testkit.Eventually(t, patience, "store what is queued", reason)
	stop()
	<-over
}

// reasonOf returns a check that the device of a token is marked as ended.
func (w *world) reasonOf(token string) func() error {
	return func() error {
		var ended bool
		err := w.db.SQL().QueryRow(`SELECT ended_ms IS NOT NULL FROM devices WHERE session_key = $1`, hash(token)).Scan(&ended)
		if err == nil && !ended {
			err = errors.New("it is not marked")
		}
		return err
	}
}

// TestALogOutThatCannotBeNotedAnywhereIsSaid covers a read-only database together with
// a queue file that cannot be opened. The session is gone, and logging out again
// records the revocation.
func TestALogOutThatCannotBeNotedAnywhereIsSaid(t *testing.T) {
	w := parallelOn(t, onRedis)
	devices := &readOnly{DeviceStore: w.cfg.Devices}
	m := w.open(func(cfg *config) { cfg.Devices = devices })
	b := w.browser(m).logIn(w.ada)
	old, cookie := *b, b.cookie
	require.NoError(t, os.MkdirAll(filepath.Join(w.cfg.DataDir, "revocations.db"), 0o700))
	devices.on.Store(true)
	for range 2 {
		mustFail(t, b.try(logOut), session.ErrNotRecorded, "log-out")
		if b.cookie != cookie || old.who() != "" {
			t.Errorf("greeted as %q, with the cookie %v", old.who(), b.cookie)
		}
	}
	devices.on.Store(false)
	b.do(logOut)
	if err := w.reasonOf(old.token)(); err != nil || b.token != "" {
		t.Errorf("having logged out again: %v, the token is %q", err, b.token)
	}
}

// TestDevicesAreListedWhileTheDatabaseIsReadOnly covers a device that has expired and
// cannot be marked as expired.
func TestDevicesAreListedWhileTheDatabaseIsReadOnly(t *testing.T) {
	w := parallelOn(t, onRedis)
	devices := &readOnly{DeviceStore: w.cfg.Devices}
	m := w.open(func(cfg *config) { cfg.Devices = devices })
	gone, b := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.ada)
	w.must("DEL", key(gone.token))
	devices.on.Store(true)
	if listed, err := m.Devices(context.Background(), w.ada.ID); err != nil || len(listed) != 1 || listed[0].ID != b.device() {
		t.Errorf("listed %+v, %v", listed, err)
	}
}

// TestALogOutEndsEveryTokenThatWasSent covers a browser to which another port has given
// a second cookie of the same name.
func TestALogOutEndsEveryTokenThatWasSent(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		m := w.open()
		one, two, kept := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.grace), w.browser(m).logIn(w.ada)
		never := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		nobody := w.browser(m)
		nobody.do(func(s *session.Session) error {
			s.LogOut(one.token, "junk", "", never, two.token, one.token)
			return nil
		})
		if one.who() != "" || two.who() != "" || kept.who() != "Ada" {
			t.Errorf("greeted as %q, %q and %q", one.who(), two.who(), kept.who())
		}
		require.NoError(t, errors.Join(w.reasonOf(one.token)(), w.reasonOf(two.token)()))
		if nobody.cookie == nil || nobody.cookie.MaxAge >= 0 {
			t.Errorf("the cookie was not cleared: %v", nobody.cookie)
		}
	})
}
