package main_test

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
)

// hangBound is how long a response may take while a store hangs: 1 s, plus 1.5 s for
// the race detector.
var hangBound = within(2500 * time.Millisecond)

// crowd is a group of clients that keep requesting the greeting.
type crowd struct {
	all             errgroup.Group
	stop            atomic.Bool
	served, refused atomic.Int64
	slowest         atomic.Int64 // nanoseconds
}

func gather(t testing.TB, server *testprocess.Server, v *visitor, size int) *crowd {
	t.Helper()
	c := &crowd{}
	for range size {
		one, err := v.caller(server, "/profile")
		require.NoError(t, err)
		c.all.Go(func() error {
			defer one.conn.Close()
			for !c.stop.Load() {
				if err := c.ask(one); err != nil {
					return err
				}
				<-time.After(pause)
			}
			return nil
		})
	}
	return c
}

func (c *crowd) ask(one *caller) error {
	started := time.Now()
	status, _, err := one.call()
	if err != nil {
		return err
	}
	took := int64(time.Since(started))
	for slowest := c.slowest.Load(); took > slowest && !c.slowest.CompareAndSwap(slowest, took); {
		slowest = c.slowest.Load()
	}
	switch status {
	case http.StatusOK:
		c.served.Add(1)
	case http.StatusServiceUnavailable:
		c.refused.Add(1)
	default:
		return fmt.Errorf("status %d", status)
	}
	return nil
}

// reach waits until counter has grown by n.
func reach(t testing.TB, counter *atomic.Int64, n int64, within time.Duration, what string) {
	t.Helper()
	goal := counter.Load() + n
	testkit.Eventually(t, within, what, func() error {
		if now := counter.Load(); now < goal {
			return fmt.Errorf("%d to go", goal-now)
		}
		return nil
	})
}

// Not parallel: it measures time.
func TestRedisHangingDelaysNobodyForLong(t *testing.T) {
	const size = 32
	store := testservice.PrivateRedis(t)
	settings := strict(onServices(store.URL, ""))
	settings["LOG_LEVEL"] = "error"
	server := start(t, settings)
	ada := member(t, server)
	c := gather(t, server, ada, size)
	reach(t, &c.served, 10*size, answerLimit, "greet everyone")

	store.Pause()
	c.slowest.Store(0)
	reach(t, &c.refused, 2*size, answerLimit, "refuse everyone")
	if slowest := time.Duration(c.slowest.Load()); slowest > hangBound {
		t.Errorf("with Redis hanging the slowest answer took %s, want at most %s", slowest, hangBound)
	}
	guest := ada.stranger()
	if got := guest.get("/"); got.Code != http.StatusOK || got.Took > hangBound {
		t.Errorf("a guest meanwhile: %d after %s", got.Code, got.Took)
	}
	if got, err := guest.tryLogIn(); err != nil || refusedBriefly(got) != nil || got.Took > 2*hangBound {
		t.Errorf("logging in meanwhile: %d after %s, %v", got.Code, got.Took, err)
	}
	boundedFiles(t, server, size)

	before := c.refused.Load()
	store.Resume()
	reach(t, &c.served, 4*size, backWithin, "greet everyone again")
	c.stop.Store(true)
	require.NoError(t, c.all.Wait())
	t.Logf("%d refused while Redis hung, %d after; slowest answer %s",
		before, c.refused.Load()-before, time.Duration(c.slowest.Load()))
	steady(t, backWithin, "after Redis went on", ada, server)
}

// boundedFiles checks that connections do not pile up while a store hangs. Each client
// has one, the Redis pool has 64, and the server has a few other files open.
func boundedFiles(t testing.TB, server *testprocess.Server, clients int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", server.PID()))
	require.NoError(t, err)
	if most := clients + 64 + 40; len(files) > most {
		t.Errorf("%d files and connections are open, want at most %d", len(files), most)
	}
}
