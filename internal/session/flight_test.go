package session_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/product"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
)

// inFlight is the number of slow requests that run while a session is revoked.
const inFlight = 8

// rounds returns how often each race is run.
func rounds() int { return campaign.Number(30, 300) }

// TestNoRequestInFlightBringsAnEndedSessionBack runs every operation that revokes
// sessions while slow requests that have loaded them write. If Redis is shared, it uses
// two Managers.
func TestNoRequestInFlightBringsAnEndedSessionBack(t *testing.T) {
	bothRedis(t, func(t *testing.T, w *world) {
		m := w.open()
		managers := []*session.Manager{m, m}
		if w.redis != nil {
			managers[1] = w.open()
		}
		for _, end := range endings(w, m) {
			t.Run(end.name, func(t *testing.T) {
				refused := 0
				for range rounds() {
					b, other := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.ada)
					old := *b
					refused += endInFlight(t, b, managers, func() error { return end.act(b, other) })
					if t.Failed() {
						return
					}
					if w.isStored(old.token) || old.who() != "" || old.at(managers[1]).who() != "" {
						t.Fatal("the ended session is stored again")
					}
					if end.goesOn != (b.who() == "Ada") {
						t.Fatalf("afterwards the browser is greeted as %q", b.who())
					}
					w.revokeAda(m)
					// A revocation goes through all unexpired devices of a person, and
					// no real person has thousands from one hour.
					w.exec(`DELETE FROM devices`)
				}
				t.Logf("%d rounds: %d of %d writes came after the end and were refused", rounds(), refused, rounds()*inFlight)
			})
		}
	})
}

// endInFlight revokes a browser's session while the browser's slow requests write, and
// returns how many of them were refused. Two start writing only after the revocation;
// each of the others is delayed by a different time.
func endInFlight(t *testing.T, b *browser, managers []*session.Manager, end func() error) (refused int) {
	t.Helper()
	old := *b
	var ended atomic.Int64
	over := make(chan struct{})
	slow := make([]*session.Session, inFlight)
	for i := range slow {
		s, err := old.at(managers[i%2]).load()
		require.NoError(t, err)
		slow[i] = s
	}
	inParallel(inFlight+1, func(i int) {
		if i == inFlight {
			defer close(over)
			if err := end(); err != nil {
				t.Errorf("end: %v", err)
			}
			return
		}
		sent := old.at(managers[i%2])
		if i < 2 {
			<-over
		}
		for range 100 * i {
			runtime.Gosched()
		}
		err := writeSlowly(sent, slow[i], i)
		switch {
		case errors.Is(err, session.ErrEnded):
			ended.Add(1)
		case err != nil || i < 2:
			t.Errorf("request %d in flight: %v", i, err)
		}
		if sent.token != old.token || sent.cookie != old.cookie {
			t.Errorf("request %d in flight sent a cookie", i)
		}
	})
	return int(ended.Load())
}

// writeSlowly finishes a request that began before the revocation.
func writeSlowly(b *browser, s *session.Session, i int) error {
	if i%2 == 0 {
		if err := s.Set(fmt.Sprint("key", i), "value"); err != nil {
			return err
		}
	} else {
		s.Flash("from a request in flight")
	}
	return b.finish(s)
}

// TestDisablingLeavesNoLogInAlive disables a person while they log in.
func TestDisablingLeavesNoLogInAlive(t *testing.T) {
	bothRedis(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		m := w.open()
		in, out := 0, 0
		for round := range rounds() / 6 {
			browsers := make([]*browser, inFlight)
			errs := make([]error, inFlight)
			inParallel(inFlight+1, func(i int) {
				if i == inFlight {
					if _, err := w.db.People().UpdateDisabled(ctx, w.ada.ID, w.clock.Now()); err != nil {
						t.Error(err)
					}
					if _, err := m.RevokeAllOf(ctx, w.ada.ID, session.RevokedByDisable); err != nil {
						t.Error(err)
					}
					return
				}
				browsers[i] = w.browser(m)
				errs[i] = browsers[i].try(logIn(w.ada))
			})
			for i, b := range browsers {
				if errs[i] != nil && !errors.Is(errs[i], session.ErrEnded) {
					t.Errorf("round %d: log-in: %v", round, errs[i])
				}
				if errs[i] == nil {
					in++
				} else {
					out++
				}
				if who := b.who(); who != "" {
					t.Fatalf("round %d: a disabled person is greeted as %q (log-in: %v)", round, who, errs[i])
				}
			}
			w.wantListed(m, 0)
			if w.redis != nil {
				w.wantKeys(0)
			}
			require.NoError(t, w.enable())
		}
		t.Logf("%d log-ins came before, %d were refused", in, out)
	})
}

// TestAnInterruptedLogInIsEndedByWhoeverComesFirst revokes all sessions between the two
// steps of a login, when its device is inserted and its session is not stored yet.
func TestAnInterruptedLogInIsEndedByWhoeverComesFirst(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		devices := &interrupted{DeviceStore: w.cfg.Devices}
		m := w.open(func(cfg *config) { cfg.Devices = devices })
		devices.then = func() {
			if n, err := m.RevokeAllOf(ctx, w.ada.ID, session.RevokedByOperator); n != 0 || err != nil {
				t.Errorf("ended %d that were stored, %v", n, err)
			}
		}
		b := w.browser(m)
		mustFail(t, b.try(logIn(w.ada)), session.ErrEnded, "the log-in")
		if b.cookie != nil || b.who() != "" {
			t.Errorf("it sent the cookie %v", b.cookie)
		}
		if n := w.held(devices.key); n != 0 {
			t.Errorf("%d records are left of it", n)
		}
	})
}

// TestALogInIsEndedAlsoWhenItFinishesBetweenTheTwoStepsOfTheEnd stores the session
// after the revocation has cleared the store, and confirms it before the device is
// marked.
func TestALogInIsEndedAlsoWhenItFinishesBetweenTheTwoStepsOfTheEnd(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		devices := &overlapping{DeviceStore: w.cfg.Devices, opened: make(chan struct{}), cleared: make(chan struct{}), in: make(chan struct{})}
		m := w.open(func(cfg *config) { cfg.Devices = devices })
		b := w.browser(m)
		var failed error
		go func() {
			defer close(devices.in)
			failed = b.try(logIn(w.ada))
		}()
		<-devices.opened
		if _, err := m.RevokeAllOf(context.Background(), w.ada.ID, session.RevokedByDisable); err != nil {
			t.Fatal(err)
		}
		if failed != nil || b.token == "" {
			t.Fatalf("the log-in did not finish in between: %v", failed)
		}
		b.wantWho("")
	})
}

// overlapping is a DeviceStore that lets one login finish just before a revocation
// marks it.
type overlapping struct {
	session.DeviceStore
	opened, cleared, in chan struct{}
	once                sync.Once
}

func (l *overlapping) Insert(ctx context.Context, e session.Device) error {
	err := l.DeviceStore.Insert(ctx, e)
	close(l.opened)
	<-l.cleared
	return err
}

func (l *overlapping) RevokeByKey(ctx context.Context, keys []string, why session.RevokeReason) error {
	l.once.Do(func() { close(l.cleared) })
	<-l.in
	return l.DeviceStore.RevokeByKey(ctx, keys, why)
}

// interrupted is a DeviceStore that calls then after the first Insert.
type interrupted struct {
	session.DeviceStore
	key  string
	then func()
}

func (l *interrupted) Insert(ctx context.Context, e session.Device) error {
	err := l.DeviceStore.Insert(ctx, e)
	if then := l.then; then != nil {
		l.key, l.then = e.SessionKey, nil
		then()
	}
	return err
}

// held returns the number of records in Redis under the hash of a token. For other
// stores, which only the Manager can read, it returns 0.
func (w *world) held(hash string) int {
	if w.cfg.store.Kind != store.KindRedis {
		return 0
	}
	n, err := redis.Int(w.raw("EXISTS", product.SessionKeys+hash))
	require.NoError(w.t, err)
	return n
}
