package session_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/product"
	"holdfast/internal/session"
)

func TestASessionEndsWhenItWasIdleTooLong(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		b := w.browser(w.open()).logIn(w.ada)
		for range 3 {
			w.advance(defaults.Idle - time.Second)
			b.do(nothing)
			if who := b.who(); who != "Ada" {
				t.Fatalf("a session in use is greeted as %q", who)
			}
		}
		w.advance(defaults.Idle - 2*time.Millisecond)
		if b.who() != "Ada" {
			t.Error("it ended before its time")
		}
		w.advance(2 * time.Millisecond) // nothing was committed meanwhile
		b.wantWho("")
		w.advance(-time.Hour)
		b.wantWho("")
	})
}

func TestASessionEndsAtItsLifetimeWhateverIsDone(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		b := w.browser(w.open()).logIn(w.ada)
		for past := time.Duration(0); past < defaults.Lifetime-time.Minute; past += 30 * time.Minute {
			b.do(func(s *session.Session) error { s.Flash("busy"); return nil })
			w.advance(min(30*time.Minute, defaults.Lifetime-time.Minute-past))
		}
		if b.who() != "Ada" {
			t.Fatal("it ended before its time")
		}
		w.advance(time.Minute)
		b.wantWho("")
	})
}

// TestTheRecordItselfEndsASession checks that a session expires by its record when its
// key in Redis has no time to live.
func TestTheRecordItselfEndsASession(t *testing.T) {
	w := parallelOn(t, onRedis)
	b := w.browser(w.open()).logIn(w.ada)
	w.must("PERSIST", key(b.token))
	w.advance(defaults.Idle)
	if who := b.who(); who != "" || w.isStored(b.token) {
		t.Errorf("without a time to live the session is greeted as %q", who)
	}
}

// TestRedisKeepsAKeyAsLongAsIsDue reads the key's time to live.
func TestRedisKeepsAKeyAsLongAsIsDue(t *testing.T) {
	w := parallelOn(t, onRedis)
	m := w.open()
	left := func(b *browser) time.Duration {
		t.Helper()
		ms, err := redis.Int64(w.redis.Do("PTTL", key(b.token)))
		require.NoError(t, err)
		return time.Duration(ms) * time.Millisecond
	}
	due := func(b *browser, want time.Duration, when string) {
		t.Helper()
		if got := left(b); got > want || got < want-patience {
			t.Errorf("%s: Redis keeps the key %s, due are %s", when, got, want)
		}
	}
	b := w.browser(m).logIn(w.ada)
	due(b, defaults.Idle, "after the log-in")
	w.advance(40 * time.Minute)
	b.do(nothing)
	due(b, defaults.Idle, "after a use")
	for range 10 {
		w.advance(40 * time.Minute)
		b.do(nothing)
	}
	w.advance(30 * time.Minute)
	b.do(nothing)
	due(b, defaults.Lifetime-470*time.Minute, "shortly before the end")
	remembered := w.ada
	remembered.Remember = true
	due(w.browser(m).logIn(remembered), defaults.Remember, "kept logged in")
	guest := w.browser(m)
	guest.set("colour", "green")
	due(guest, defaults.Idle, "a guest's")
}

func TestLastSeenIsWrittenOnceAMinuteOrATwentiethOfAShortLimit(t *testing.T) {
	t.Parallel()
	for idle, every := range map[time.Duration]time.Duration{time.Hour: time.Minute, 2 * time.Minute: 6 * time.Second} {
		w := on(t, onPrivateRedis)
		m := w.open(func(cfg *config) { cfg.Limits.Idle = idle })
		b := w.browser(m).logIn(w.ada)
		stored := func() string {
			t.Helper()
			record, err := redis.String(w.redis.Do("GET", key(b.token)))
			require.NoError(t, err)
			return record
		}
		before := stored()
		w.advance(every - time.Millisecond)
		reads := w.monitor()
		for range 10 {
			b.do(nothing)
		}
		if stored() != before {
			t.Errorf("idle %s: a use was written down after less than %s", idle, every)
		}
		if did := reads(); len(did) != 11 { // one by the test itself
			t.Errorf("idle %s: 10 page views were %q", idle, did)
		}
		w.advance(time.Millisecond)
		b.do(nothing)
		after := stored()
		if after == before {
			t.Errorf("idle %s: a use was not written down after %s", idle, every)
		}
		b.do(nothing)
		if stored() != after {
			t.Errorf("idle %s: the same use was written down twice", idle)
		}
	}
}

// monitor records the session commands that Redis receives, except the heartbeat's. The
// returned function stops recording and returns them.
func (w *world) monitor() func() []string {
	w.t.Helper()
	conn, err := redis.DialURL(w.redis.URL)
	require.NoError(w.t, err)
	_, err = conn.Do("MONITOR")
	require.NoError(w.t, err)
	return func() (commands []string) {
		w.t.Helper()
		defer conn.Close()
		w.must("ECHO", "the end of it")
		for {
			line, err := redis.String(redis.ReceiveWithTimeout(conn, patience))
			require.NoError(w.t, err)
			if strings.Contains(line, "the end of it") {
				return commands
			}
			if strings.Contains(line, product.SessionKeys) {
				commands = append(commands, line)
			}
		}
	}
}

func TestClocksFiveMinutesApartLogNobodyOut(t *testing.T) {
	w := parallelOn(t, onRedis)
	const apart = 5 * time.Minute
	ahead := func() time.Time { return w.clock.Now().Add(apart) }
	slow, fast := w.open(), w.open(func(cfg *config) { cfg.Now = ahead })
	b := w.browser(slow).logIn(w.ada)
	c := w.browser(fast).logIn(w.ada)
	for step := 0; step < 80; step++ {
		for _, at := range []*session.Manager{slow, fast} {
			for name, browser := range map[string]*browser{"slow": b, "fast": c} {
				if who := browser.at(at).who(); who != "Ada" {
					t.Fatalf("minute %d: the session begun at the %s clock is greeted as %q", 5*step, name, who)
				}
				browser.at(at).do(nothing)
			}
			w.wantListed(at, 2)
		}
		w.advance(5 * time.Minute)
	}
	w.advance(defaults.Lifetime - 80*5*time.Minute + apart)
	for _, m := range []*session.Manager{slow, fast} {
		if b.at(m).who() != "" || c.at(m).who() != "" {
			t.Error("a session lived beyond its lifetime and the distance of the clocks")
		}
	}
}

func TestAClockPutBackLogsNobodyOut(t *testing.T) {
	w := parallelOn(t, onRedis)
	b := w.browser(w.open()).logIn(w.ada)
	w.advance(-24 * time.Hour)
	b.do(nothing)
	b.set("colour", "green")
	b.wantWho("Ada")
}

func TestRememberedSessionsLiveLongerAndTheirCookiePersists(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		m := w.open()
		plain := w.browser(m).logIn(w.ada)
		if plain.cookie.MaxAge != 0 || !plain.cookie.Expires.IsZero() {
			t.Errorf("an ordinary log-in persists: %v", plain.cookie)
		}
		member := w.ada
		member.Remember = true
		kept := w.browser(m).logIn(member)
		want := int(defaults.Remember.Seconds())
		if kept.cookie.MaxAge < want-int(patience.Seconds()) || kept.cookie.MaxAge > want+1 {
			t.Errorf("the cookie is kept %d s, want about %d", kept.cookie.MaxAge, want)
		}
		w.advance(defaults.Remember - time.Minute)
		if plain.who() != "" || kept.who() != "Ada" {
			t.Errorf("a minute before the end: ordinary %q, remembered %q", plain.who(), kept.who())
		}
		s, err := kept.load()
		require.NoError(t, err)
		if devices, err := s.Devices(context.Background()); err != nil || len(devices) != 1 || !devices[0].Remembered {
			t.Errorf("listed %+v, %v", devices, err)
		}
		w.advance(time.Minute)
		kept.wantWho("")
	})
}

func TestTheCookieOnHTTPSIsBoundToTheHost(t *testing.T) {
	w := parallelOn(t, onMemory)
	b := w.browser(w.open(func(cfg *config) { cfg.Secure = true })).logIn(w.ada)
	c := b.cookie
	if c.Name != "__Host-"+product.SessionCookie || !c.Secure || c.Path != "/" || c.Domain != "" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
		t.Errorf("the cookie is %v", c)
	}
}
