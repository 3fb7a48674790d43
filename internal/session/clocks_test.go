package session_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/dev/testkit"
	"holdfast/internal/session"
)

// TestServersWhoseClocksDifferAgreeOnWhoIsLoggedIn logs people in at all servers at the
// same time. Each server lists every session, and one of them revokes all others.
func TestServersWhoseClocksDifferAgreeOnWhoIsLoggedIn(t *testing.T) {
	const each = 24
	for _, apart := range []time.Duration{3 * time.Minute, time.Hour - time.Minute} {
		t.Run(apart.String(), func(t *testing.T) {
			w := parallelOn(t, func(w *world) {
				onRedis(w)
				w.cfg.Limits = session.Limits{Idle: 3 * time.Hour, Lifetime: 8 * time.Hour, Remember: 30 * 24 * time.Hour}
			})
			var managers []*session.Manager
			for _, by := range []time.Duration{0, apart, -apart} {
				managers = append(managers, w.open(func(cfg *config) {
					cfg.Now = func() time.Time { return time.Now().Add(by) }
				}))
			}
			ctx := context.Background()
			browsers := make([]*browser, len(managers)*each)
			inParallel(len(browsers), func(i int) {
				browsers[i] = w.browser(managers[i%len(managers)])
				if err := browsers[i].try(logIn(w.ada)); err != nil {
					t.Errorf("log-in %d: %v", i, err)
				}
			})
			for i, m := range managers {
				devices, err := m.Devices(ctx, w.ada.ID)
				if err != nil || len(devices) != len(browsers) {
					t.Errorf("server %d lists %d of %d, %v", i, len(devices), len(browsers), err)
				}
				for j, b := range browsers {
					if who := b.at(m).who(); who != "Ada" {
						t.Fatalf("server %d greets the person of log-in %d as %q", i, j, who)
					}
				}
			}
			for i, m := range managers {
				mine := browsers[0].at(m)
				var ended int
				mine.do(func(s *session.Session) (err error) { ended, err = s.RevokeOthers(ctx); return err })
				if want := len(browsers) - 1; i == 0 && ended != want || i > 0 && ended != 0 {
					t.Errorf("server %d ended %d, want %d at the first and none after", i, ended, want)
				}
				for j, b := range browsers[1:] {
					if who := b.at(m).who(); who != "" {
						t.Fatalf("server %d greets the person of log-in %d, which was ended, as %q", i, j+1, who)
					}
				}
				if mine.who() != "Ada" {
					t.Fatalf("server %d ended the one that was to stay", i)
				}
			}
		})
	}
}

// TestLogInsThatFailedEndNoSession checks that failed logins do not count towards the
// session limit: Redis is down while a person keeps trying with the correct password.
func TestLogInsThatFailedEndNoSession(t *testing.T) {
	w := parallelOn(t, onDurableRedis)
	m := w.open()
	before := []*browser{w.browser(m).logIn(w.ada), w.browser(m).logIn(w.ada)}
	w.redis.Kill()
	for i := range session.MaxLive - 1 {
		err := w.browser(m).try(logIn(w.ada))
		if !errors.Is(err, session.ErrUnavailable) {
			t.Fatalf("log-in %d without Redis: %v", i, err)
		}
	}
	w.redis.Start()
	testkit.Steadily(t, patience, "after the outage", greeted(before[0], "Ada"))
	last := w.browser(m).logIn(w.ada)
	for i, b := range append(before, last) {
		if who := b.who(); who != "Ada" {
			t.Errorf("session %d is greeted as %q", i, who)
		}
	}
	devices, err := m.Devices(context.Background(), w.ada.ID)
	if err != nil || len(devices) != 3 {
		t.Errorf("listed %d, %v; want the two from before and the new one", len(devices), err)
	}
	if past, err := w.cfg.Devices.Past(context.Background(), w.ada.ID, session.Device{}, 0, 10); err != nil || len(past) != 0 {
		t.Errorf("past: %+v, %v; want none: nobody was logged in", past, err)
	}
}

// paged returns the revocations in two pages, the second once next is closed.
type paged struct {
	session.DeviceStore
	waits atomic.Bool
	next  chan struct{}
}

func (p *paged) RevokedSince(ctx context.Context, since time.Time, yield func([]string) error) error {
	if !p.waits.Load() {
		return p.DeviceStore.RevokedSince(ctx, since, yield)
	}
	if err := yield([]string{hash("a"), hash("b"), hash("c")}); err != nil {
		return err
	}
	select {
	case <-p.next:
	case <-ctx.Done():
		return ctx.Err()
	}
	return yield([]string{hash("d")})
}

// TestARepairSaysHowFarItIs checks that Ping reports the progress of a repair.
func TestARepairSaysHowFarItIs(t *testing.T) {
	w := parallelOn(t, onPrivateRedis)
	devices := &paged{DeviceStore: w.cfg.Devices, next: make(chan struct{})}
	m := w.open(brisk, func(cfg *config) { cfg.Devices = devices })
	b := w.browser(m).logIn(w.ada)
	devices.waits.Store(true)
	w.must("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	testkit.Eventually(t, patience, "how far it is", func() error {
		err := m.Ping(context.Background())
		var repair session.Repair
		if !errors.As(err, &repair) || repair.Removed != 3 || !errors.Is(err, session.ErrUnavailable) {
			return fmt.Errorf("answered %v", err)
		}
		return nil
	})
	mustFail(t, out(b)(), nil, "a person meanwhile")
	close(devices.next)
	testkit.Steadily(t, patience, "after it", greeted(b, "Ada"))
}
