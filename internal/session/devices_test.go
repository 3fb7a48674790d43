package session_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
	"holdfast/internal/text"
)

func TestDevicesAreListedThisOneFirstThenTheLatestUsed(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		m := w.open()
		var all []*browser
		for i := range 4 {
			b := w.browser(m)
			b.do(func(s *session.Session) error {
				s.PrepareLogIn(w.ada, text.Sender{UserAgent: fmt.Sprint("agent ", i), Address: fmt.Sprint("192.0.2.", i)})
				return nil
			})
			all = append(all, b)
			w.advance(2 * time.Minute)
		}
		w.browser(m).logIn(w.grace)
		all[0].do(nothing) // used again
		seen := w.clock.Now()
		s, err := all[2].load()
		require.NoError(t, err)
		devices, err := s.Devices(ctx)
		if err != nil || len(devices) != 4 {
			t.Fatalf("listed %+v, %v", devices, err)
		}
		for i, want := range []int{2, 0, 3, 1} {
			d := devices[i]
			if d.ID != all[want].device() || d.Current != (i == 0) || d.UserAgent != fmt.Sprint("agent ", want) || d.Address != fmt.Sprint("192.0.2.", want) {
				t.Errorf("place %d has %+v, want browser %d", i, d, want)
			}
		}
		if !devices[1].LastSeenAt.Equal(seen) || (time.Since(devices[1].CreatedAt)-8*time.Minute).Abs() > patience {
			t.Errorf("last seen %s, since %s; want %s and 8 minutes before", devices[1].LastSeenAt, devices[1].CreatedAt, seen)
		}
		if _, err := mustGuest(t, m).Devices(ctx); !errors.Is(err, session.ErrEnded) {
			t.Errorf("a guest's list: %v", err)
		}
	})
}

func mustGuest(t *testing.T, m *session.Manager) *session.Session {
	t.Helper()
	s, err := m.Load(context.Background(), "")
	require.NoError(t, err)
	return s
}

func TestNobodyEndsAnothersSession(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		m := w.open()
		ada, grace := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.grace)
		id, token := ada.device(), hash(ada.token)
		for _, id := range []string{id, id + ".x", token, "", "nothing", "%", strings.Repeat("x", 5000)} {
			mustFail(t, grace.try(func(s *session.Session) error { return s.RevokeDevice(ctx, id) }), session.ErrNoDevice, "end "+id[:min(20, len(id))])
		}
		mustFail(t, m.RevokeDevice(ctx, w.grace.ID, id, session.RevokedByOperator), session.ErrNoDevice, "end as an operator for the wrong person")
		mustFail(t, mustGuest(t, m).RevokeDevice(ctx, id), session.ErrEnded, "end by a guest")
		if n, err := m.RevokeAllOf(ctx, w.grace.ID, session.RevokedByOperator); n != 1 || err != nil {
			t.Errorf("ended %d of Grace's, %v", n, err)
		}
		if ada.who() != "Ada" || grace.who() != "" {
			t.Errorf("Ada's browser greets %q, Grace's %q", ada.who(), grace.who())
		}
	})
}

func TestEndingTwiceIsEndingOnceAndKeepsHow(t *testing.T) {
	ctx := context.Background()
	w := parallelOn(t, onRedis)
	m := w.open()
	b, other := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.ada)
	id := other.device()
	for range 2 {
		b.do(func(s *session.Session) error { return s.RevokeDevice(ctx, id) })
	}
	inParallel(8, func(int) {
		if err := m.RevokeDevice(ctx, w.ada.ID, id, session.RevokedByOperator); err != nil {
			t.Error(err)
		}
	})
	b.wantPast(session.RevokedByOwner)
	s, err := b.load()
	require.NoError(t, err)
	if n, err := s.RevokeOthers(ctx); n != 0 || err != nil {
		t.Errorf("ended %d others, %v; want none", n, err)
	}
}

func TestANewNameGreetsEverywhereAtTheNextRequest(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		m := w.open()
		grace := w.browser(m).logIn(w.grace)
		var all []*browser
		for range 5 {
			all = append(all, w.browser(m).logIn(w.ada))
		}
		inFlight, err := all[1].load()
		require.NoError(t, err)
		require.NoError(t, inFlight.Set("colour", "green"))
		ending, err := all[2].load()
		require.NoError(t, err)
		ending.LogOut()
		w.rename(m, "Ada King")
		old := *all[2]
		require.NoError(t, all[2].finish(ending))
		w.rename(m, "Ada Lovelace")
		require.NoError(t, all[1].finish(inFlight))
		for i, b := range all {
			if want := "Ada Lovelace"; i != 2 && b.who() != want {
				t.Errorf("browser %d is greeted as %q", i, b.who())
			}
		}
		if old.who() != "" || grace.who() != "Grace" || all[1].values()["colour"] != "green" {
			t.Errorf("logged out: %q, somebody else: %q, the value in flight: %v", old.who(), grace.who(), all[1].values())
		}
	})
}

func TestAJunkRecordUnderADevicesKeyHarmsNoOtherDevice(t *testing.T) {
	w := parallelOn(t, onRedis)
	m := w.open()
	b, broken := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.ada)
	for _, junk := range []string{"junk", `{"v":1,"created":1700000000000,"seen":9900000000000,"ends":9900000000000}`} {
		w.putter()(broken.token, []byte(junk))
		devices, err := m.Devices(context.Background(), w.ada.ID)
		if err != nil || len(devices) != 1 || devices[0].ID != b.device() {
			t.Errorf("with %s in the store: %+v, %v", junk, devices, err)
		}
		require.NoError(t, m.Rename(context.Background(), w.ada.ID, "Ada"))
	}
	w.must("DEL", key(broken.token))
	w.must("RPUSH", key(broken.token), "a list")
	if broken.who() != "" || w.isStored(broken.token) || w.log.Count("unreadable session found") == 0 {
		t.Error("a key of another type is not removed, or not logged")
	}
	broken.do(nothing)
}

func TestASessionIsSmallInRedis(t *testing.T) {
	w := parallelOn(t, onRedis)
	member := w.ada
	member.Name = "Augusta Ada King"
	b := w.browser(w.open()).logIn(member)
	size, err := redis.Int(w.redis.Do("MEMORY", "USAGE", key(b.token)))
	if err != nil || size >= 400 {
		t.Errorf("a session takes %d bytes in Redis, %v; want fewer than 400", size, err)
	}
}

func TestOfAUserAgentOnlyTextIsKept(t *testing.T) {
	w := parallelOn(t, onMemory)
	m := w.open()
	for sent, want := range map[string]string{
		"a\x00b\x1b[31m\r\nc\u0085d": "ab[31mcd", "\xff\xfeok": "ok", strings.Repeat("\u00e9", 300): strings.Repeat("\u00e9", 200), "": "",
	} {
		b := w.browser(m)
		b.do(func(s *session.Session) error { s.PrepareLogIn(w.ada, text.Sender{UserAgent: sent}); return nil })
		s, err := b.load()
		require.NoError(t, err)
		devices, err := s.Devices(context.Background())
		if err != nil || devices[0].UserAgent != want {
			t.Errorf("%q is listed as %q, %v", sent, devices[0].UserAgent, err)
		}
	}
}

func TestADisabledPersonCannotBeginASession(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		m := w.open()
		_, err := w.db.People().UpdateDisabled(context.Background(), w.ada.ID, w.clock.Now())
		require.NoError(t, err)
		b := w.browser(m)
		mustFail(t, b.try(logIn(w.ada)), session.ErrEnded, "log-in")
		if b.cookie != nil {
			t.Errorf("it sent the cookie %v", b.cookie)
		}
	})
}

// TestClosingLeavesNothingRunning allows for goroutines that libraries leave behind:
// the cleanup of the memory store that scs.New always creates, which cannot be stopped
// without a data race, and Redka's, which waits forever on a stopped ticker.
func TestClosingLeavesNothingRunning(t *testing.T) {
	const times = 5
	for name, store := range map[string]struct {
		with      func(*world)
		libraries int
	}{"Redis": {onRedis, 1}, "embedded Redis": {onEmbedded, 2}, "file": {onFile, 1}, "SQLite": {onSQLite, 1}} {
		t.Run(name, func(t *testing.T) {
			w := on(t, store.with)
			shut := func() {
				m := w.open()
				w.browser(m).logIn(w.ada)
				require.NoError(t, w.close(m))
			}
			shut() // the first use starts goroutines that stay
			before := runtime.NumGoroutine()
			for range times {
				shut()
			}
			testkit.Eventually(t, patience, "goroutines", func() error {
				if after := runtime.NumGoroutine(); after > before+times*store.libraries {
					return fmt.Errorf("%d became %d", before, after)
				}
				return nil
			})
		})
	}
}

func TestATableThatHangsIsSaidInTime(t *testing.T) {
	var server *testservice.PostgresServer
	w := parallelOn(t, func(w *world) {
		server = testservice.PrivatePostgres(t)
		w.db = testkit.OpenDatabase(t, database.Config{URL: server.URL, Timeout: patience})
		_, err := w.db.Migrate(t.Context())
		require.NoError(t, err)
		w.cfg.store.Kind, w.cfg.store.Postgres, w.cfg.store.DatabaseTimeout = store.KindDatabase, w.db.Pool(), budget
	})
	b := w.browser(w.open()).logIn(w.ada)
	s, err := b.load()
	require.NoError(t, err)
	s.Flash("never stored")
	server.Pause()
	mustFail(t, within(t, "commit", func() error { return b.finish(s) }), session.ErrUnavailable, "commit")
	inParallel(many, func(int) {
		mustFail(t, within(t, "load", func() error { _, err := b.load(); return err }), session.ErrUnavailable, "load")
	})
	server.Resume()
	testkit.Steadily(t, patience, "afterwards", greeted(b, "Ada"))
}
