package session_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/session"
)

// TestARestoredRedisBringsNobodyBack restores Redis to a state before a revocation, as
// if it had been killed before the write reached the disk. Two servers have open
// connections, and a third starts afterwards.
func TestARestoredRedisBringsNobodyBack(t *testing.T) {
	for i, end := range endings(nil, nil) {
		t.Run(end.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			w := on(t, func(w *world) {
				w.use(testservice.PrivateRedis(t, append([]string{"--dir", folder}, durable...)...))
			})
			m, second := w.open(), w.open()
			b, other := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.ada)
			kept := w.browser(m).logIn(w.grace)
			if b.at(second).who() != "Ada" {
				t.Fatal("the second server does not know her")
			}
			old := *b
			before := filepath.Join(t.TempDir(), "before")
			copyFolder(t, filepath.Join(folder, "appendonlydir"), before)
			if !holds(t, before, key(old.token)) {
				t.Fatal("the copy does not have the session: nothing is tested")
			}
			require.NoError(t, endings(w, m)[i].act(b, other))
			w.redis.Kill()
			require.NoError(t, os.RemoveAll(filepath.Join(folder, "appendonlydir")))
			copyFolder(t, before, filepath.Join(folder, "appendonlydir"))
			w.redis.Start()
			for place, m := range map[string]*session.Manager{"the first server": m, "the second server": second, "a new server": w.open()} {
				w.steady(m)
				if who := old.at(m).who(); who != "" {
					t.Errorf("%s greets the ended session as %q", place, who)
				}
			}
			if w.isStored(old.token) {
				t.Error("the ended session is still in Redis")
			}
			if who := kept.at(second).who(); end.name != "end of all sessions" && who != "Grace" {
				t.Errorf("somebody else became %q", who)
			}
		})
	}
}

// holds reports whether any file in folder contains text.
func holds(t *testing.T, folder, text string) (found bool) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		found = found || bytes.Contains(content, []byte(text))
		return err
	})
	require.NoError(t, err)
	return found
}

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
}

// TestWithoutTheDevicesARestoredRedisIsNotBelieved makes the database unavailable just
// when Redis comes back.
func TestWithoutTheDevicesARestoredRedisIsNotBelieved(t *testing.T) {
	w := parallelOn(t, onDurableRedis)
	devices := &absent{DeviceStore: w.cfg.Devices}
	m := w.open(func(cfg *config) { cfg.Devices = devices })
	b := w.browser(m).logIn(w.ada)
	devices.away.Store(true)
	w.redis.Kill()
	w.redis.Start()
	for range 5 {
		_, err := b.load()
		mustFail(t, err, session.ErrUnavailable, "load")
	}
	devices.away.Store(false)
	testkit.Steadily(t, patience, "with the devices back", greeted(b, "Ada"))
}

// absent is a DeviceStore that can be unavailable.
type absent struct {
	session.DeviceStore
	away atomic.Bool
	asks atomic.Int64
	slow atomic.Pointer[chan struct{}] // if set, RevokedSince waits until it is closed
}

func (l *absent) RevokedSince(ctx context.Context, since time.Time, yield func([]string) error) error {
	l.asks.Add(1)
	if slow := l.slow.Load(); slow != nil {
		select {
		case <-*slow:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if l.away.Load() {
		return errDevices
	}
	return l.DeviceStore.RevokedSince(ctx, since, yield)
}

// TestALongReplayIsDoneSomeTime runs a replay that takes longer than any request waits.
// It is done once, not again for every request.
func TestALongReplayIsDoneSomeTime(t *testing.T) {
	w := parallelOn(t, onDurableRedis)
	devices := &absent{DeviceStore: w.cfg.Devices}
	m := w.open(brisk, func(cfg *config) { cfg.Devices = devices })
	b := w.browser(m).logIn(w.ada)
	slow := make(chan struct{})
	devices.slow.Store(&slow)
	w.redis.Kill()
	began, asked := time.Now(), devices.asks.Load()
	w.redis.Start()
	once := func(when string) {
		t.Helper()
		// Besides the replay, the server asks for recent revocations every second.
		heartbeats := 2 + int64(time.Since(began)/onceASecond)
		if n := devices.asks.Load() - asked; n < 1 || n > 1+heartbeats {
			t.Errorf("%s: what has ended was asked for %d times by %d requests", when, n, many)
		}
	}
	inParallel(many, func(int) {
		err := within(t, "load", func() error { _, err := b.load(); return err })
		mustFail(t, err, session.ErrUnavailable, "load")
	})
	once("during the replay")
	close(slow)
	testkit.Steadily(t, patience, "after the replay", greeted(b, "Ada"))
	once("after the replay")
}

func TestClosingDoesNotWaitForAReplay(t *testing.T) {
	w := parallelOn(t, onPrivateRedis)
	devices := &absent{DeviceStore: w.cfg.Devices}
	m := w.open(brisk, func(cfg *config) { cfg.Devices = devices })
	never := make(chan struct{})
	devices.slow.Store(&never)
	w.redis.Kill()
	w.redis.Start()
	_, err := m.Load(context.Background(), hash("anybody"))
	mustFail(t, err, session.ErrUnavailable, "load")
	require.NoError(t, within(t, "close", func() error { return w.close(m) }))
}

// TestAReplicaThatLagsBringsNobodyBack cuts a replica off before a logout, and then
// lets it take over at the master's address.
func TestAReplicaThatLagsBringsNobodyBack(t *testing.T) {
	w := parallelOn(t, onMaster)
	m := w.open()
	b := w.browser(m).logIn(w.ada)
	kept := w.browser(m).logIn(w.grace)
	replica := testservice.PrivateRedis(t)
	replicate(t, w.redis, replica, key(kept.token))
	promote(t, replica) // cut off
	old := *b
	b.do(logOut)
	if n, err := redis.Int(replica.Do("EXISTS", key(old.token))); n != 1 || err != nil {
		t.Fatal("the replica does not have the old session: nothing is tested", err)
	}
	w.redis.Kill()
	_, err := replica.Do("CONFIG", "SET", "port", w.redis.Addr[len("127.0.0.1:"):])
	require.NoError(t, err)
	w.steady(m)
	old.wantWho("")
	kept.wantWho("Grace")
}

// TestAnOlderFilePutBackBringsNobodyBack is the same for stores that only one process
// opens. Opening them applies the revocations again.
func TestAnOlderFilePutBackBringsNobodyBack(t *testing.T) {
	onEach(t, files, func(t *testing.T, w *world) {
		m := w.open()
		b, kept := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.grace)
		old := *b
		require.NoError(t, w.close(m))
		before := filepath.Join(t.TempDir(), "before")
		copyFolder(t, w.cfg.store.DataDir, before)
		m = w.open()
		require.NoError(t, old.at(m).try(logOut))
		require.NoError(t, w.close(m))
		require.NoError(t, os.RemoveAll(w.cfg.store.DataDir))
		copyFolder(t, before, w.cfg.store.DataDir)
		m = w.open()
		old.at(m).wantWho("")
		kept.at(m).wantWho("Grace")
	})
}
