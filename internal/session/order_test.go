package session_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/session"
)

// TestADeviceIsNotMarkedBeforeItsSessionIsGone covers a store that is unavailable, so
// that a session cannot be revoked. It must stay listed.
func TestADeviceIsNotMarkedBeforeItsSessionIsGone(t *testing.T) {
	w := parallelOn(t, onDurableRedis)
	m := w.open()
	b, other := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.ada)
	leaving, err := b.load()
	require.NoError(t, err)
	leaving.LogOut()
	w.redis.Stop()
	mustFail(t, b.finish(leaving), session.ErrUnavailable, "log-out")
	mustFail(t, m.RevokeDevice(context.Background(), w.ada.ID, deviceOf(t, w, other.token), session.RevokedByOwner), session.ErrUnavailable, "end of a device")
	w.redis.Start()
	testkit.Steadily(t, patience, "Redis again", greeted(b, "Ada"))
	if listed, err := m.Devices(context.Background(), w.ada.ID); err != nil || len(listed) != 2 {
		t.Errorf("two sessions live, and the list has %d, %v", len(listed), err)
	}
}

// deviceOf returns the ID of a token's device, from the database alone.
func deviceOf(t *testing.T, w *world, token string) (id string) {
	t.Helper()
	require.NoError(t, w.db.SQL().QueryRow(`SELECT id FROM devices WHERE session_key = $1`, hash(token)).Scan(&id))
	return id
}

// TestWhatAnotherPersonStoredMeanwhileIsNotTakenOver logs Grace in where Ada was logged
// in, while one of Ada's requests stores a value.
func TestWhatAnotherPersonStoredMeanwhileIsNotTakenOver(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		devices := &renamedTwice{DeviceStore: w.cfg.Devices, before: func() {}, after: func() {}}
		m := w.open(func(cfg *config) { cfg.Devices = devices })
		ada := w.browser(m).logIn(w.ada)
		ada.set("before", "hers")
		shared := *ada
		devices.after = func() { ada.set("meanwhile", "hers") }
		shared.logIn(w.grace)
		if values := shared.values(); shared.who() != "Grace" || len(values) > 0 {
			t.Errorf("%s has %v", shared.who(), values)
		}
		ada.wantWho("")
	})
}

// TestAnIdleSessionIsRemovedOnlyAsItWasRead lets one server find that a session was
// idle for too long, and another record a use before the first removes it.
func TestAnIdleSessionIsRemovedOnlyAsItWasRead(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		m := w.open()
		b := w.browser(m).logIn(w.ada)
		w.advance(defaults.Idle / 2)
		late := session.New(func() session.Config {
			cfg := w.cfg.Config
			cfg.Store, cfg.Now = w.opened[m], func() time.Time { return w.clock.Now().Add(defaults.Idle/2 + time.Second) }
			return cfg
		}())
		var why session.Reason
		_, err := late.Load(traced(session.Trace{
			Found:  func(session.Record, session.Limits, time.Time) { b.do(nothing) },
			Loaded: func(_ *session.Session, reason session.Reason) { why = reason },
		}), b.token)
		if err != nil || why != session.Idle {
			t.Fatalf("the later server found %q, %v", why, err)
		}
		b.wantWho("Ada")
	})
}

// TestAWriteSentTwiceIsMadeOnce covers a connection that breaks after Redis has
// executed a write.
func TestAWriteSentTwiceIsMadeOnce(t *testing.T) {
	w := parallelOn(t, onRedis)
	opened := w.opened[w.open()]
	ctx, key := context.Background(), hash("somebody's")
	for _, swap := range [][2]string{{"", "first"}, {"first", "second"}} {
		var old []byte
		if swap[0] != "" {
			old = []byte(swap[0])
		}
		for range 2 {
			if err := opened.CompareAndSwap(ctx, key, old, []byte(swap[1]), time.Minute); err != nil {
				t.Errorf("%q for %q: %v", swap[1], swap[0], err)
			}
		}
	}
	if err := opened.CompareAndSwap(ctx, key, []byte("first"), []byte("third"), time.Minute); err == nil {
		t.Error("a write over another one's was made")
	}
}

func TestFilesOfSessionsAreTheirOwnersAlone(t *testing.T) {
	onEach(t, files, func(t *testing.T, w *world) {
		w.cfg.store.DataDir = filepath.Join(w.cfg.store.DataDir, "made")
		w.browser(w.open()).logIn(w.ada)
		err := filepath.WalkDir(w.cfg.store.DataDir, func(path string, entry fs.DirEntry, err error) error {
			info, failed := entry.Info()
			if err := errors.Join(err, failed); err != nil {
				return err
			}
			if info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s is open to others: %s", path, info.Mode())
			}
			return nil
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
}
