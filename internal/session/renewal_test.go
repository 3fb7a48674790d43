package session_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/session"
)

func renew(s *session.Session) error { s.Renew(laptop); return nil }

// hooked is a ledger that runs something once, after it was asked what lives.
type hooked struct {
	session.Ledger
	live atomic.Pointer[func()]
}

func (h *hooked) Find(ctx context.Context, person, id string) (session.Entry, error) {
	entry, err := h.Ledger.Find(ctx, person, id)
	if then := h.live.Swap(nil); then != nil {
		(*then)()
	}
	return entry, err
}

func (h *hooked) Live(ctx context.Context, person string, now time.Time, limit int) ([]session.Entry, error) {
	entries, err := h.Ledger.Live(ctx, person, now, limit)
	if then := h.live.Swap(nil); then != nil {
		(*then)()
	}
	return entries, err
}

// TestEndingASessionEndsItsRenewalToo: while somebody ends a session, that
// session moves to a new token, at the worst moment for whoever is ending it.
func TestEndingASessionEndsItsRenewalToo(t *testing.T) {
	ctx := context.Background()
	bothRedis(t, func(t *testing.T, w *world) {
		ledger := &hooked{Ledger: w.cfg.Ledger}
		m := w.open(func(cfg *session.Config) { cfg.Ledger = ledger })
		for name, end := range map[string]func(other *browser, id string) error{
			"end of all others": func(other *browser, _ string) error {
				return other.try(func(s *session.Session) error { _, err := s.EndOthers(ctx); return err })
			},
			"end of the device": func(other *browser, id string) error {
				return other.try(func(s *session.Session) error { return s.EndDevice(ctx, id) })
			},
			"end by the operator": func(_ *browser, id string) error {
				return m.EndDevice(ctx, w.ada.ID, id, session.EndedByOperator)
			},
			"end of everybody": func(*browser, string) error { _, err := m.EndAll(ctx, "", session.EndedByOperator); return err },
			"disabling":        func(*browser, string) error { return w.disable(m) },
		} {
			lost := w.browser(m).logIn(w.ada)
			other := w.browser(m).logIn(w.ada)
			id := lost.device()
			meanwhile := func() { _ = lost.try(renew) }
			ledger.live.Store(&meanwhile)
			if err := end(other, id); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if who := lost.who(); who != "" {
				t.Errorf("%s: the renewed session is still greeted as %q", name, who)
			}
		}
	})
}

func TestAnIDFromBeforeTheRenewalStillEndsTheDevice(t *testing.T) {
	ctx := context.Background()
	w := on(t, onRedis)
	m := w.open()
	lost, other := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.ada)
	shown := lost.device()
	lost.do(renew)
	lost.do(renew)
	other.do(func(s *session.Session) error { return s.EndDevice(ctx, shown) })
	if lost.who() != "" || other.who() != "Ada" {
		t.Errorf("after ending one device it is greeted as %q, the other as %q", lost.who(), other.who())
	}
	own := other.device()
	other.do(renew)
	other.do(func(s *session.Session) error {
		err := s.EndDevice(ctx, own)
		if !s.LoggedOut() {
			t.Error("ending one's own device by its id from before a renewal is not a log-out")
		}
		return err
	})
	if devices, err := m.Devices(ctx, w.ada.ID); len(devices) != 0 || err != nil {
		t.Errorf("still listed: %+v, %v", devices, err)
	}
}

func TestALogOutEndsWhatARenewalInFlightMade(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		b := w.browser(w.open()).logIn(w.ada)
		old := *b
		s, err := old.load()
		if err != nil {
			t.Fatal(err)
		}
		b.do(renew)
		s.LogOut()
		if err := old.finish(s); err != nil {
			t.Fatal(err)
		}
		if who := b.who(); who != "" {
			t.Errorf("after the log-out the renewed session is greeted as %q", who)
		}
	})
}

func TestARenewedSessionIsListedOnce(t *testing.T) {
	w := on(t, onRedis)
	m := w.open()
	b := w.browser(m).logIn(w.ada)
	b.do(renew)
	devices, err := m.Devices(context.Background(), w.ada.ID)
	if err != nil || len(devices) != 1 || devices[0].ID != b.device() {
		t.Errorf("listed %+v, %v; want the one session", devices, err)
	}
	s, err := b.load()
	if err != nil {
		t.Fatal(err)
	}
	if past, err := s.PastDevices(context.Background(), 0, 10); len(past) != 0 || err != nil {
		t.Errorf("a renewal is listed as past: %+v, %v", past, err)
	}
}
