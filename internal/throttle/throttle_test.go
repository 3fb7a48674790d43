package throttle_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/database"
	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/throttle"
)

var rule = throttle.Rule{Name: "test", Burst: 5, First: 5 * time.Second, Most: 15 * time.Minute, Memory: 24 * time.Hour}

// onBoth runs a test on both real stores. Every store that open returns uses the same
// database.
func onBoth(t *testing.T, test func(t *testing.T, open func() throttle.Store)) {
	t.Helper()
	t.Parallel()
	testkit.BothDatabases(t, func(t *testing.T, cfg database.Config) {
		test(t, func() throttle.Store { return testkit.OpenDatabase(t, cfg).Tries() })
	})
}

func newClock() *testkit.Clock {
	return testkit.StoppedAt(time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC))
}

// held returns how long an attempt has to wait, or zero if it was allowed.
func held(t *testing.T, err error) time.Duration {
	t.Helper()
	if err == nil {
		return 0
	}
	var held *throttle.RetryAfterError
	if !errors.As(err, &held) || held.Wait <= 0 {
		t.Fatal(err)
	}
	return held.Wait
}

func TestWaitsGrowFromTryToTryUpToTheMost(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() throttle.Store) {
		now := newClock()
		l, key := throttle.New(open(), now.Now), throttle.Key{Rule: rule, Subject: "ada"}
		for n := range rule.Burst {
			if wait := held(t, l.Take(t.Context(), key)); wait != 0 {
				t.Fatalf("free try %d waits %s", n, wait)
			}
		}
		for _, want := range []time.Duration{5, 10, 20, 40, 80, 160, 320, 640, 900, 900} {
			want *= time.Second
			if wait := held(t, l.Take(t.Context(), key)); wait != want {
				t.Fatalf("waits %s, want %s", wait, want)
			}
			now.Advance(want - time.Millisecond)
			if wait := held(t, l.Take(t.Context(), key)); wait != time.Millisecond {
				t.Fatalf("waits %s just before its turn", wait)
			}
			now.Advance(time.Millisecond)
			if wait := held(t, l.Take(t.Context(), key)); wait != 0 {
				t.Fatalf("waits %s when its turn has come", wait)
			}
		}
	})
}

func TestOfADaysManyTriesFewAreLetThrough(t *testing.T) {
	tries := campaign.Number(1000, 10_000)
	onBoth(t, func(t *testing.T, open func() throttle.Store) {
		now := newClock()
		l, key := throttle.New(open(), now.Now), throttle.Key{Rule: rule, Subject: "ada"}
		let := 0
		for range tries {
			if held(t, l.Take(t.Context(), key)) == 0 {
				let++
			}
			now.Advance(24 * time.Hour / time.Duration(tries))
		}
		if let < 50 || let > 200 {
			t.Errorf("%d of %d were let through", let, tries)
		}
	})
}

func TestOfManyAtOnceNoMoreAreLetThroughThanOneAfterTheOther(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() throttle.Store) {
		now := newClock()
		instances := []*throttle.Limiter{throttle.New(open(), now.Now), throttle.New(open(), now.Now)}
		var let atomic.Int64
		var all sync.WaitGroup
		for n := range 200 {
			all.Go(func() {
				err := instances[n%2].Take(context.Background(), throttle.Key{Rule: rule, Subject: "ada"})
				if err == nil {
					let.Add(1)
					return
				}
				var held *throttle.RetryAfterError
				if !errors.As(err, &held) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if let.Load() != int64(rule.Burst) {
			t.Errorf("%d of 200 were let through, want %d", let.Load(), rule.Burst)
		}
	})
}

func TestARestartForgetsNothingAndADayForgetsAll(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() throttle.Store) {
		now, key := newClock(), throttle.Key{Rule: rule, Subject: "ada"}
		before := throttle.New(open(), now.Now)
		for range rule.Burst {
			held(t, before.Take(t.Context(), key))
		}
		after := throttle.New(open(), now.Now)
		if wait := held(t, after.Take(t.Context(), key)); wait != rule.First {
			t.Errorf("waits %s after a restart", wait)
		}
		if wait := held(t, after.Take(t.Context(), throttle.Key{Rule: rule, Subject: "bob"})); wait != 0 {
			t.Errorf("another subject waits %s", wait)
		}
		now.Advance(rule.Memory)
		for n := range rule.Burst {
			if wait := held(t, after.Take(t.Context(), key)); wait != 0 {
				t.Errorf("a day later, try %d waits %s", n, wait)
			}
		}
	})
}

func TestATryThatIsHeldUnderOneKeyCountsUnderNone(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() throttle.Store) {
		now := newClock()
		l := throttle.New(open(), now.Now)
		address, account := throttle.Key{Rule: rule, Subject: "192.0.2.1"}, throttle.Key{Rule: rule, Subject: "ada"}
		for range rule.Burst {
			held(t, l.Take(t.Context(), account))
		}
		for range 20 {
			if held(t, l.Take(t.Context(), address, account)) == 0 {
				t.Fatal("let through")
			}
		}
		if wait := held(t, l.Take(t.Context(), address)); wait != 0 {
			t.Errorf("the address waits %s for tries that were none", wait)
		}
	})
}

func TestWhatIsGivenBackOrClearedCountsNoMore(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() throttle.Store) {
		now := newClock()
		l, key := throttle.New(open(), now.Now), throttle.Key{Rule: rule, Subject: "ada"}
		for range 20 {
			if wait := held(t, l.Take(t.Context(), key)); wait != 0 {
				t.Fatalf("waits %s", wait)
			}
			require.NoError(t, l.Refund(t.Context(), key))
		}
		for range rule.Burst {
			held(t, l.Take(t.Context(), key))
		}
		require.NoError(t, l.Refund(t.Context(), key))
		if wait := held(t, l.Take(t.Context(), key)); wait != 0 {
			t.Errorf("waits %s after one was given back", wait)
		}
		require.NoError(t, l.Clear(t.Context(), key))
		if wait := held(t, l.Take(t.Context(), key)); wait != 0 {
			t.Errorf("waits %s after all were cleared", wait)
		}
	})
}

func TestAClockSetBackHoldsNobodyUntilItHasCaughtUp(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() throttle.Store) {
		now := newClock()
		l, key := throttle.New(open(), now.Now), throttle.Key{Rule: rule, Subject: "ada"}
		for range rule.Burst {
			held(t, l.Take(t.Context(), key))
		}
		now.Advance(-30 * 24 * time.Hour)
		for n := range rule.Burst {
			if wait := held(t, l.Take(t.Context(), key)); wait != 0 {
				t.Errorf("try %d waits %s", n, wait)
			}
		}
		if wait := held(t, l.Take(t.Context(), key)); wait != rule.First {
			t.Errorf("waits %s after the free ones, want %s", wait, rule.First)
		}
	})
}

func TestAnAddressIsCountedByItsNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7":                  "192.0.2.7",
		"::ffff:192.0.2.7":           "192.0.2.7",
		"2001:db8:1:2:3:4:5:6":       "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff:ffff::1":  "2001:db8:1:2::/64",
		"2001:db8:1:3::1":            "2001:db8:1:3::/64",
		"fe80::1%eth0":               "fe80::/64",
		"":                           "unknown",
		"192.0.2.7, 192.0.2.8":       "unknown",
		"'; DROP TABLE throttle; --": "unknown",
	} {
		if got := throttle.Network(address); got != want {
			t.Errorf("%q is counted as %q, want %q", address, got, want)
		}
	}
}

func TestANilLimiterLetsEverythingThrough(t *testing.T) {
	var l *throttle.Limiter
	key := throttle.Key{Rule: rule, Subject: "ada"}
	for range 100 {
		require.NoError(t, errors.Join(l.Take(t.Context(), key), l.Refund(t.Context(), key), l.Clear(t.Context(), key)))
	}
}

// between calls do once, after the first state was found.
type between struct {
	throttle.Store
	once sync.Once
	do   func()
}

func (b *between) Find(ctx context.Context, key string) (throttle.State, time.Time, error) {
	found, now, err := b.Store.Find(ctx, key)
	b.once.Do(b.do)
	return found, now, err
}

func TestATryCountedWhileTheOnlyOneIsGivenBackStaysCounted(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() throttle.Store) {
		now, store := newClock(), open()
		one := rule
		one.Burst = 2
		l, key := throttle.New(store, now.Now), throttle.Key{Rule: one, Subject: "ada"}
		held(t, l.Take(t.Context(), key))
		giver := throttle.New(&between{Store: store, do: func() { held(t, l.Take(t.Context(), key)) }}, now.Now)
		require.NoError(t, giver.Refund(t.Context(), key))
		if found, _, err := store.Find(t.Context(), "test:ada"); err != nil || found.Tries != 1 {
			t.Errorf("%d tries are counted, want 1: %v", found.Tries, err)
		}
	})
}

func TestATryGivenBackLeavesTheWaitOfThoseBeforeIt(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() throttle.Store) {
		now := newClock()
		one := rule
		one.Burst = 1
		l, key := throttle.New(open(), now.Now), throttle.Key{Rule: one, Subject: "ada"}
		giveBack := func() {
			t.Helper()
			require.NoError(t, l.Refund(t.Context(), key))
		}
		held(t, l.Take(t.Context(), key))
		giveBack()
		for _, want := range []time.Duration{0, one.First} {
			if wait := held(t, l.Take(t.Context(), key)); wait != want {
				t.Fatalf("waits %s, want %s", wait, want)
			}
		}
		now.Advance(one.First)
		held(t, l.Take(t.Context(), key))
		giveBack()
		if wait := held(t, l.Take(t.Context(), key)); wait != one.First {
			t.Errorf("waits %s after one that counts, want %s", wait, one.First)
		}
		giveBack() // the other one, too: none is left
		if wait := held(t, l.Take(t.Context(), key)); wait != 0 {
			t.Errorf("waits %s after none that counts", wait)
		}
	})
}

// TestTriesAreCountedByTheDatabasesClock: servers' clocks may differ by hours.
func TestTriesAreCountedByTheDatabasesClock(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() throttle.Store) {
		store := open()
		before := time.Now()
		_, now, err := store.Find(t.Context(), "nothing")
		if err != nil || now.Before(before.Add(-time.Minute)) || now.After(time.Now().Add(time.Minute)) {
			t.Errorf("the store's clock says %s, %v", now, err)
		}
		l, key := throttle.New(store, nil), throttle.Key{Rule: rule, Subject: "ada"}
		for range rule.Burst {
			held(t, l.Take(t.Context(), key))
		}
		if held(t, l.Take(t.Context(), key)) == 0 {
			t.Error("a try after the free ones does not wait")
		}
	})
}
