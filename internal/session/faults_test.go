package session_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/product"
	"holdfast/internal/session"
)

var errDevices = errors.New("the list of devices fails here")

// faulty is a DeviceStore in which a fault occurs at one call.
type faulty struct {
	session.DeviceStore
	calls, at int
	fault     func() error // the call returns its error; nil lets the call through
}

func (l *faulty) fail() error {
	l.calls++
	if l.calls != l.at {
		return nil
	}
	return l.fault()
}

func (l *faulty) Insert(ctx context.Context, e session.Device) error {
	return errors.Join(l.fail(), l.DeviceStore.Insert(ctx, e))
}

func (l *faulty) Confirm(ctx context.Context, id string) (string, error) {
	if err := l.fail(); err != nil {
		return "", err
	}
	return l.DeviceStore.Confirm(ctx, id)
}

func (l *faulty) ListUnexpired(ctx context.Context, person, after string, limit int) ([]session.Device, error) {
	if err := l.fail(); err != nil {
		return nil, err
	}
	return l.DeviceStore.ListUnexpired(ctx, person, after, limit)
}

func (l *faulty) Find(ctx context.Context, person, id string) (session.Device, error) {
	if err := l.fail(); err != nil {
		return session.Device{}, err
	}
	return l.DeviceStore.Find(ctx, person, id)
}

func (l *faulty) Live(ctx context.Context, person string, limit int) ([]session.Device, error) {
	if err := l.fail(); err != nil {
		return nil, err
	}
	return l.DeviceStore.Live(ctx, person, limit)
}

func (l *faulty) RevokeByKey(ctx context.Context, keys []string, why session.RevokeReason) error {
	if err := l.fail(); err != nil {
		return err
	}
	return l.DeviceStore.RevokeByKey(ctx, keys, why)
}

// TestFailingAtAnyStepLeavesNothingHalfDone makes each step of a login, logout or
// revocation fail in turn: either the DeviceStore fails, or Redis is killed before its
// next command.
func TestFailingAtAnyStepLeavesNothingHalfDone(t *testing.T) {
	for name, fault := range map[string]struct {
		with   func(*world)
		happen func(*world) error
	}{
		"list of devices fails": {onRedis, func(*world) error { return errDevices }},
		"Redis killed":          {onDurableRedis, func(w *world) error { w.redis.Kill(); return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			w := parallelOn(t, fault.with)
			devices := &faulty{DeviceStore: w.cfg.Devices, fault: func() error { return fault.happen(w) }}
			m := w.open(func(cfg *config) { cfg.Devices = devices })
			for what, act := range steps() {
				t.Run(what, func(t *testing.T) {
					for at := 1; ; at++ {
						other := w.browser(m).logIn(w.ada)
						b := w.browser(m).logIn(w.ada)
						old, id := *b, other.device()
						devices.calls, devices.at = 0, at
						err := b.try(func(s *session.Session) error { return act(s, id) })
						devices.at = 0
						reached := devices.calls >= at
						w.revive(m)
						check(t, w, m, b, &old, err, at)
						if !reached {
							if err != nil {
								t.Errorf("without a fault: %v", err)
							}
							return
						}
					}
				})
			}
		})
	}
}

// steps returns the operations that take several steps.
func steps() map[string]func(s *session.Session, other string) error {
	ctx := context.Background()
	return map[string]func(s *session.Session, other string) error{
		"log-in":        func(s *session.Session, _ string) error { s.PrepareLogIn(mustMember(s), laptop); return nil },
		"log-out":       func(s *session.Session, _ string) error { s.LogOut(); return nil },
		"end of one":    func(s *session.Session, other string) error { return s.RevokeDevice(ctx, other) },
		"end of others": func(s *session.Session, _ string) error { _, err := s.RevokeOthers(ctx); return err },
	}
}

func mustMember(s *session.Session) session.Member {
	member, _ := s.Member()
	return session.Member{ID: member.ID, Name: member.Name}
}

// check checks what must hold after a failure, and cleans up.
func check(t *testing.T, w *world, m *session.Manager, b, old *browser, err error, at int) {
	t.Helper()
	if err != nil && (b.token != old.token || b.who() != "Ada") {
		t.Errorf("step %d: %v, and then the old session is greeted as %q", at, err, b.who())
	}
	if err == nil && b.token != old.token && old.who() != "" {
		t.Errorf("step %d: it succeeded, and the old token lives", at)
	}
	keys, failed := redis.Strings(w.redis.Do("KEYS", product.SessionKeys+"*"))
	require.NoError(t, failed)
	entries, failed := w.cfg.Devices.ListUnexpired(context.Background(), w.ada.ID, "", 1000)
	require.NoError(t, failed)
	for _, key := range keys {
		if !slices.ContainsFunc(entries, func(e session.Device) bool { return product.SessionKeys+e.SessionKey == key }) {
			t.Errorf("step %d (%v): a session lives that nobody can list or end", at, err)
		}
	}
	w.revokeAda(m)
	w.wantKeys(0)
}

// revive starts Redis again if it was killed, and waits until a Manager can use it.
func (w *world) revive(m *session.Manager) {
	w.t.Helper()
	if _, err := w.redis.Do("PING"); err == nil {
		return
	}
	w.redis.Start()
	w.steady(m)
}

// hooked is a DeviceStore that calls meanwhile after each ListUnexpired.
type hooked struct {
	session.DeviceStore
	meanwhile func()
}

func (h *hooked) ListUnexpired(ctx context.Context, person, after string, limit int) ([]session.Device, error) {
	devices, err := h.DeviceStore.ListUnexpired(ctx, person, after, limit)
	if h.meanwhile != nil {
		h.meanwhile()
	}
	return devices, err
}

func TestAnEndingThatWasBegunIsNoted(t *testing.T) {
	w := parallelOn(t, onRedis)
	devices := &hooked{DeviceStore: w.cfg.Devices}
	m := w.open(func(cfg *config) { cfg.Devices = devices })
	b := w.browser(m).logIn(w.ada)
	ctx, gone := context.WithCancel(context.Background())
	devices.meanwhile = gone
	if n, err := m.RevokeAllOf(ctx, w.ada.ID, session.RevokedByOperator); n != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("ended %d, %v; want the one begun, and no more looks", n, err)
	}
	b.wantWho("")
	past, err := w.cfg.Devices.Past(context.Background(), w.ada.ID, session.Device{}, 0, 10)
	if err != nil || len(past) != 1 || past[0].RevokeReason != session.RevokedByOperator {
		t.Errorf("noted as %+v, %v", past, err)
	}
}

// TestAFailedLogInThatCannotBeTakenBackCanBeEnded kills Redis after a login has stored
// its session and before the login is rolled back.
func TestAFailedLogInThatCannotBeTakenBackCanBeEnded(t *testing.T) {
	w := parallelOn(t, onDurableRedis)
	devices := &faulty{DeviceStore: w.cfg.Devices, fault: func() error { w.redis.Kill(); return errDevices }}
	m := w.open(func(cfg *config) { cfg.Devices = devices })
	b := w.browser(m)
	devices.at = 2 // Insert, then Confirm, once the session is stored
	mustFail(t, b.try(logIn(w.ada)), errDevices, "log-in")
	w.redis.Start()
	w.steady(m)
	w.wantKeys(1) // the one that could not be removed
	w.wantListed(m, 0)
	w.revokeAda(m)
	w.wantKeys(0)
}
