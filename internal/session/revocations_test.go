package session_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/session"
)

// ends are the endings that a restored store must not undo, each of Ada's
// session in b; other is another one of hers.
func ends(m *session.Manager, w *world) map[string]func(b, other *browser) error {
	ctx := context.Background()
	return map[string]func(b, other *browser) error{
		"log-out": func(b, _ *browser) error { return b.try(logOut) },
		"end of the device": func(b, other *browser) error {
			id := b.device()
			return other.try(func(s *session.Session) error { return s.EndDevice(ctx, id) })
		},
		"end of all others": func(_, other *browser) error {
			return other.try(func(s *session.Session) error { _, err := s.EndOthers(ctx); return err })
		},
		"disabling": func(*browser, *browser) error { return w.disable(m) },
		"log-in over it": func(b, _ *browser) error {
			return b.try(func(s *session.Session) error { s.LogIn(w.ada, laptop); return nil })
		},
		"end of all sessions": func(*browser, *browser) error {
			_, err := m.EndEverybody(ctx, session.EndedByOperator, func(int) {})
			return err
		},
	}
}

// TestARestoredRedisBringsNobodyBack puts Redis back to before an ending: it
// was killed before the write reached the disk. Two servers with warm pools
// are there, and one that starts afterwards.
func TestARestoredRedisBringsNobodyBack(t *testing.T) {
	for name := range ends(nil, nil) {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			w := on(t, func(w *world) {
				w.onRedis("--appendonly", "yes", "--appendfsync", "always", "--dir", folder, "--save", "")
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
			if err := ends(m, w)[name](b, other); err != nil {
				t.Fatal(err)
			}
			w.redis.Kill()
			if err := os.RemoveAll(filepath.Join(folder, "appendonlydir")); err != nil {
				t.Fatal(err)
			}
			copyFolder(t, before, filepath.Join(folder, "appendonlydir"))
			w.redis.Start()
			if !w.stands(old.token) {
				t.Fatal("the restored Redis does not have the old session: nothing is tested")
			}
			for place, m := range map[string]*session.Manager{"the first server": m, "the second server": second, "a new server": w.open()} {
				soon(t, 5*time.Second, place, func() error { return m.Ping(context.Background()) })
				if who := old.at(m).who(); who != "" {
					t.Errorf("%s greets the ended session as %q", place, who)
				}
			}
			if w.stands(old.token) {
				t.Error("the ended session still stands in Redis")
			}
			if who := kept.at(second).who(); name != "end of all sessions" && who != "Grace" {
				t.Errorf("somebody else became %q", who)
			}
		})
	}
}

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
}

// TestWithoutTheDevicesARestoredRedisIsNotBelieved: the database is away just
// when Redis has come back.
func TestWithoutTheDevicesARestoredRedisIsNotBelieved(t *testing.T) {
	w := on(t, func(w *world) { w.onRedis("--appendonly", "yes", "--appendfsync", "always") })
	devices := &absent{DeviceStore: w.cfg.Devices}
	m := w.open(brisk, func(cfg *config) { cfg.Devices = devices })
	b := w.browser(m).logIn(w.ada)
	devices.away.Store(true)
	w.redis.Kill()
	w.redis.Start()
	for range 5 {
		_, err := b.load()
		mustFail(t, err, session.ErrUnavailable, "load")
	}
	devices.away.Store(false)
	soon(t, 2*time.Second, "with the devices back", greeted(b, "Ada"))
}

// absent is a devices that can be away.
type absent struct {
	session.DeviceStore
	away atomic.Bool
	asks atomic.Int64
	slow chan struct{} // where set, what ended is told when it is closed
}

func (l *absent) EndedSince(ctx context.Context, since time.Time, yield func([]string) error) error {
	l.asks.Add(1)
	if l.slow != nil {
		select {
		case <-l.slow:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if l.away.Load() {
		return errDevices
	}
	return l.DeviceStore.EndedSince(ctx, since, yield)
}

// TestALongReplayIsDoneSomeTime: it takes longer than any request waits, and
// yet it is done once, and not again by every request.
func TestALongReplayIsDoneSomeTime(t *testing.T) {
	w := on(t, func(w *world) { w.onRedis("--appendonly", "yes", "--appendfsync", "always") })
	devices := &absent{DeviceStore: w.cfg.Devices}
	m := w.open(brisk, func(cfg *config) { cfg.Devices = devices })
	b := w.browser(m).logIn(w.ada)
	w.redis.Kill()
	devices.slow = make(chan struct{})
	asked := devices.asks.Load()
	w.redis.Start()
	inParallel(10, func(int) {
		err := within(t, "load", func() error { _, err := b.load(); return err })
		mustFail(t, err, session.ErrUnavailable, "load")
	})
	if n := devices.asks.Load() - asked; n != 1 {
		t.Errorf("the devices was asked %d times at once", n)
	}
	close(devices.slow)
	soon(t, 2*time.Second, "after the replay", greeted(b, "Ada"))
	if n := devices.asks.Load() - asked; n != 1 {
		t.Errorf("the devices was asked %d times", n)
	}
}

func TestClosingDoesNotWaitForAReplay(t *testing.T) {
	w := on(t, onRedis)
	devices := &absent{DeviceStore: w.cfg.Devices}
	m := w.open(brisk, func(cfg *config) { cfg.Devices = devices })
	w.redis.Kill()
	devices.slow = make(chan struct{})
	w.redis.Start()
	_, err := m.Load(context.Background(), hash("anybody"))
	mustFail(t, err, session.ErrUnavailable, "load")
	if err := within(t, "close", func() error { return w.close(m) }); err != nil {
		t.Error(err)
	}
}

// TestAReplicaThatLagsBringsNobodyBack: it stopped listening before the log-out
// and then took over at the same address.
func TestAReplicaThatLagsBringsNobodyBack(t *testing.T) {
	w := on(t, onRedis)
	m := w.open()
	b := w.browser(m).logIn(w.ada)
	kept := w.browser(m).logIn(w.grace)
	replica := on(t, onRedis) // a world of its own; only its Redis is used
	host, port := "127.0.0.1", w.redis.Addr[len("127.0.0.1:"):]
	if _, err := replica.redis.Do("REPLICAOF", host, port); err != nil {
		t.Fatal(err)
	}
	soon(t, 20*time.Second, "replicate", func() error {
		n, err := redis.Int(replica.redis.Do("EXISTS", key(b.token)))
		if err == nil && n != 1 {
			err = errors.New("not there yet")
		}
		return err
	})
	if _, err := replica.redis.Do("REPLICAOF", "NO", "ONE"); err != nil { // cut off, and promoted
		t.Fatal(err)
	}
	old := *b
	b.do(logOut)
	if n, err := redis.Int(replica.redis.Do("EXISTS", key(old.token))); n != 1 || err != nil {
		t.Fatal("the replica does not have the old session: nothing is tested", err)
	}
	w.redis.Kill()
	if _, err := replica.redis.Do("CONFIG", "SET", "port", port); err != nil {
		t.Fatal(err)
	}
	soon(t, 5*time.Second, "the promoted replica", func() error { return m.Ping(context.Background()) })
	if who := old.who(); who != "" {
		t.Errorf("the promoted replica greets the ended session as %q", who)
	}
	if who := kept.who(); who != "Grace" {
		t.Errorf("somebody else became %q", who)
	}
}

// TestAnOlderFilePutBackBringsNobodyBack is the same for the stores that one
// process opens: ended sessions are ended again when it opens them.
func TestAnOlderFilePutBackBringsNobodyBack(t *testing.T) {
	for name, store := range map[string]func(*world){"embedded Redis": onEmbedded, "file": onFile} {
		t.Run(name, func(t *testing.T) {
			w := on(t, store)
			m := w.open()
			b, kept := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.grace)
			old := *b
			shut := func(m *session.Manager) {
				t.Helper()
				if err := w.close(m); err != nil {
					t.Fatal(err)
				}
			}
			shut(m)
			before := filepath.Join(t.TempDir(), "before")
			copyFolder(t, w.cfg.store.DataDir, before)
			m = w.open()
			if err := old.at(m).try(logOut); err != nil {
				t.Fatal(err)
			}
			shut(m)
			if err := os.RemoveAll(w.cfg.store.DataDir); err != nil {
				t.Fatal(err)
			}
			copyFolder(t, before, w.cfg.store.DataDir)
			m = w.open()
			if who := old.at(m).who(); who != "" {
				t.Errorf("the file put back greets the ended session as %q", who)
			}
			if who := kept.at(m).who(); who != "Grace" {
				t.Errorf("somebody else became %q", who)
			}
		})
	}
}
