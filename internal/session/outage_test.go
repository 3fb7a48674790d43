package session_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/session"
)

// greeted returns a check that a browser is greeted by this name.
func greeted(b *browser, name string) func() error {
	return func() error {
		s, err := b.load()
		if err != nil {
			return err
		}
		if member, _ := s.Member(); member.Name != name {
			return fmt.Errorf("greeted as %q, want %q", member.Name, name)
		}
		return nil
	}
}

// many is the number of parallel requests in outage tests. If each waited for the
// previous one, the last would take many times budget.
const many = 50

// within fails the test if act takes much longer than budget. The margin allows for a
// busy machine.
func within(t *testing.T, what string, act func() error) error {
	t.Helper()
	began := time.Now()
	err := act()
	if took := time.Since(began); took > many*budget/5 {
		t.Errorf("%s took %s, the budget is %s", what, took, budget)
	}
	return err
}

func TestAStoppedOrHangingRedisIsSaidInTimeAndOver(t *testing.T) {
	for name, outage := range map[string]struct{ begin, end func(w *world) }{
		"stopped": {func(w *world) { w.redis.Stop() }, func(w *world) { w.redis.Start() }},
		"killed":  {func(w *world) { w.redis.Kill() }, func(w *world) { w.redis.Start() }},
		"hanging": {func(w *world) { w.redis.Pause() }, func(w *world) { w.redis.Resume() }},
	} {
		t.Run(name, func(t *testing.T) { // not in parallel: it counts goroutines
			w := on(t, onDurableRedis)
			m := w.open(brisk)
			b := w.browser(m).logIn(w.ada)
			begun, err := b.load()
			require.NoError(t, err)
			begun.Flash("never stored")
			outage.begin(w)
			mustFail(t, within(t, "commit", func() error { return b.finish(begun) }), session.ErrUnavailable, "commit")
			goroutines := runtime.NumGoroutine()
			inParallel(many, func(int) {
				err := within(t, "load", func() error { _, err := b.load(); return err })
				mustFail(t, err, session.ErrUnavailable, "load")
			})
			// A goroutine that is stopping is counted until it has been scheduled
			// again.
			testkit.Eventually(t, patience, "goroutines", func() error {
				if n := runtime.NumGoroutine(); n > goroutines+20 {
					return fmt.Errorf("%d became %d", goroutines, n)
				}
				return nil
			})
			outage.end(w)
			testkit.Steadily(t, patience, "after the outage", greeted(b, "Ada"))
			if down, up := w.log.Count("session store unreachable"), w.log.Count("session store reachable again"); down != 1 || up != 1 {
				t.Errorf("it was logged %d times, and its end %d times", down, up)
			}
			testkit.Eventually(t, patience, "connections", func() error {
				if n := w.clients(); n > 4+1 {
					return fmt.Errorf("there are %d, the pool has 4", n)
				}
				return nil
			})
		})
	}
}

// clients returns the number of connections to Redis, including the one that asks.
func (w *world) clients() int {
	w.t.Helper()
	return w.info("clients", "# Clients\r\nconnected_clients:%d")
}

// info returns the number that begins a section of Redis's INFO.
func (w *world) info(section, format string) (n int) {
	w.t.Helper()
	info, err := redis.String(w.redis.Do("INFO", section))
	require.NoError(w.t, err)
	_, err = fmt.Sscanf(info, format, &n)
	require.NoError(w.t, err)
	return n
}

func TestWaitingForAConnectionLeavesTheOthersAlone(t *testing.T) {
	w := parallelOn(t, onPrivateRedis)
	m := w.open()
	b := w.browser(m).logIn(w.ada)
	inParallel(8, func(int) { _, _ = b.load() })
	before := w.connections()
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for range 100 {
		if _, err := m.Load(gone, b.token); err == nil {
			continue // a connection was free
		}
	}
	inParallel(8, func(int) { _, _ = b.load() })
	if after := w.connections(); after > before+1 { // asking opens a new connection
		t.Errorf("clients that went away cost %d new connections", after-before-1)
	}
}

// connections returns how many connections Redis has accepted so far.
func (w *world) connections() int {
	w.t.Helper()
	return w.info("stats", "# Stats\r\ntotal_connections_received:%d")
}

func TestAFullRedisRefusesLogInsAndGreets(t *testing.T) {
	w := parallelOn(t, onPrivateRedis)
	m := w.open()
	b := w.browser(m).logIn(w.ada)
	w.config("maxmemory-policy", "noeviction")
	w.config("maxmemory", "1")
	stranger := w.browser(m)
	for range 3 {
		mustFail(t, stranger.try(logIn(w.ada)), session.ErrUnavailable, "log-in")
		mustFail(t, b.try(func(s *session.Session) error { return s.Set("colour", "green") }), session.ErrUnavailable, "change")
		w.advance(2 * time.Minute)
		b.do(nothing) // tries to store the last use
		if who := b.who(); who != "Ada" {
			t.Fatalf("greeted as %q", who)
		}
	}
	if n, err := w.keys(); n != 1 || err != nil || stranger.cookie != nil {
		t.Errorf("%d keys, %v, and the cookie %v; want nothing of the log-ins", n, err, stranger.cookie)
	}
	w.wantListed(m, 1)
	if n := w.log.Count("session store not writable"); n != 1 || w.log.Count("unreachable") != 0 {
		t.Errorf("logged %d times, want once", n)
	}
	before := *b
	b.do(logOut)
	before.wantWho("")
	w.config("maxmemory", "0")
	stranger.logIn(w.ada)
	if n := w.log.Count("session store writable again"); n != 1 {
		t.Errorf("the recovery was logged %d times", n)
	}
}

func (w *world) config(name, value string) {
	w.t.Helper()
	w.must("CONFIG", "SET", name, value)
}

func TestARedisThatIsNotTheOneToTalkToIsSaidOnce(t *testing.T) {
	for _, c := range []struct {
		name       string
		begin, end func(w *world)
		logged     string // "" if the command is sent again
	}{
		{"READONLY", func(w *world) { w.must("REPLICAOF", "127.0.0.1", "1") }, func(w *world) { w.must("REPLICAOF", "NO", "ONE") },
			"session store not writable"},
		{"NOAUTH", func(w *world) {
			w.config("requirepass", "secret")
			w.mustAs("secret", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		}, func(w *world) { w.mustAs("secret", "CONFIG", "SET", "requirepass", "") }, "session store unreachable"},
		{"NOPERM", func(w *world) { w.must("ACL", "SETUSER", "default", "-get", "-eval", "-evalsha") },
			func(w *world) { w.must("ACL", "SETUSER", "default", "+@all") }, "session store unreachable"},
		{"cut connections", func(w *world) { w.must("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") }, func(*world) {}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := parallelOn(t, onPrivateRedis)
			b := w.browser(w.open()).logIn(w.ada)
			c.begin(w)
			change := func() {
				t.Helper()
				mustFail(t, b.try(func(s *session.Session) error { s.Flash("kept?"); return nil }), session.ErrUnavailable, "change")
			}
			if c.logged != "" {
				change() // changes are refused first
			}
			for range 5 {
				if c.logged == "" {
					b.wantWho("Ada")
					continue
				}
				_, err := b.load()
				mustFail(t, err, session.ErrUnavailable, "load")
				change()
			}
			c.end(w)
			testkit.Steadily(t, patience, "change afterwards", func() error { return b.try(func(s *session.Session) error { return s.Set("k", "v") }) })
			if b.who() != "Ada" {
				t.Error("the session is gone")
			}
			want := min(1, len(c.logged))
			if n := w.log.Count("level=ERROR"); n != want || w.log.Count(c.logged) != want && want > 0 {
				t.Errorf("%d errors were logged, want %q once", n, c.logged)
			}
		})
	}
}

// mustAs is must on a Redis that requires a password.
func (w *world) mustAs(password, command string, args ...any) {
	w.t.Helper()
	conn, err := redis.DialURL(w.redis.URL, redis.DialPassword(password))
	require.NoError(w.t, err)
	defer conn.Close()
	_, err = conn.Do(command, args...)
	require.NoError(w.t, err)
}
