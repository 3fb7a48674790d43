package session_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/session"
)

func TestTheOldestOfTooManySessionsEndsAndSaysSo(t *testing.T) {
	w := parallelOn(t, onRedis)
	m := w.open()
	first := w.browser(m).logIn(w.ada)
	w.advance(time.Second)
	second := w.browser(m).logIn(w.ada)
	other := w.browser(m).logIn(w.grace)
	for range session.MaxLive - 2 {
		w.advance(time.Second)
		w.browser(m).logIn(w.ada)
	}
	if first.who() != "Ada" {
		t.Fatalf("with %d sessions the first is already over", session.MaxLive)
	}
	w.advance(time.Second)
	last := w.browser(m).logIn(w.ada)
	if first.who() != "" || second.who() != "Ada" || last.who() != "Ada" || other.who() != "Grace" {
		t.Errorf("with one more: first %q, second %q, last %q, somebody else's %q", first.who(), second.who(), last.who(), other.who())
	}
	var notices []string
	last.do(func(s *session.Session) error { notices = s.TakeFlashes(); return nil })
	if len(notices) != 1 || !strings.Contains(notices[0], "oldest one was logged out") {
		t.Errorf("the log-in says %q", notices)
	}
	last.wantPast(session.RevokedByLimit)
}

func TestManyLogInsAtOnceAreAllListedAndKeepTheCap(t *testing.T) {
	t.Parallel()
	for _, before := range []int{0, 80} {
		w := on(t, onRedis)
		alone := w.open()
		for range before {
			w.browser(alone).logIn(w.ada)
			w.advance(time.Millisecond)
		}
		const atOnce = 50
		together := &gathering{DeviceStore: w.cfg.Devices}
		together.Add(atOnce)
		gather := func(cfg *config) { cfg.Devices = together }
		managers := []*session.Manager{w.open(gather), w.open(gather)}
		browsers := make([]*browser, atOnce)
		inParallel(atOnce, func(i int) {
			browsers[i] = w.browser(managers[i%2])
			if err := browsers[i].try(logIn(w.ada)); err != nil {
				t.Errorf("log-in %d of %d at once: %v", i, atOnce, err)
			}
		})
		devices, err := managers[1].Devices(context.Background(), w.ada.ID)
		require.NoError(t, err)
		if want := min(before+atOnce, session.MaxLive); len(devices) != want {
			t.Errorf("%d sessions and %d log-ins at once: %d live, want %d", before, atOnce, len(devices), want)
		}
		listed := map[string]bool{}
		for _, d := range devices {
			listed[d.ID] = true
		}
		for i, b := range browsers {
			if !listed[b.device()] {
				t.Errorf("log-in %d is not listed", i)
			}
		}
	}
}

// gathering is a DeviceStore in which no Insert returns before all devices are
// inserted.
type gathering struct {
	session.DeviceStore
	sync.WaitGroup
}

func (g *gathering) Insert(ctx context.Context, e session.Device) error {
	err := g.DeviceStore.Insert(ctx, e)
	g.Done()
	g.Wait()
	return err
}

// inParallel calls act n times at the same time and waits for all calls.
func inParallel(n int, act func(i int)) {
	var group sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		group.Go(func() { <-start; act(i) })
	}
	close(start)
	group.Wait()
}

func TestSessionsThatFellOutOfTheStoreHealToExpired(t *testing.T) {
	bothRedis(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		m := w.open()
		lost, kept := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.ada)
		w.must("DEL", key(lost.token))
		young, err := m.Devices(ctx, w.ada.ID)
		if err != nil || len(young) != 1 || young[0].ID != kept.device() {
			t.Errorf("listed %+v, %v; want only the one that is stored", young, err)
		}
		entries, err := w.cfg.Devices.Live(ctx, w.ada.ID, 10)
		if err != nil || len(entries) != 2 {
			t.Errorf("an entry too young to tell is marked already: %d, %v", len(entries), err)
		}
		w.advance(2 * time.Minute)
		_, err = m.Devices(ctx, w.ada.ID)
		require.NoError(t, err)
		kept.wantPast(session.RevokedByTime)
		w.must("FLUSHDB")
		testkit.Eventually(t, patience, "find Redis emptied", func() error { // the server then writes a watermark
			n, err := redis.Int(w.raw("EXISTS", "holdfast:beat"))
			if err == nil && n == 0 {
				err = errors.New("no watermark")
			}
			return errors.Join(err, m.Ping(ctx))
		})
		kept.wantWho("")
		again := w.browser(m).logIn(w.ada)
		if devices, err := m.Devices(ctx, w.ada.ID); err != nil || len(devices) != 1 || devices[0].ID != again.device() {
			t.Errorf("after FLUSHDB and a log-in: %+v, %v", devices, err)
		}
	})
}
