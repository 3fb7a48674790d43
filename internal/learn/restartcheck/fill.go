package restartcheck

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/visitor"
)

const (
	parallel = 8 // sessions created at the same time
	parts    = 5 // into which they are divided, to measure the heap after each
	// A heap has settled when this many collections in a row found no lower value:
	// what a start or a request still held is freed (sync.Pool keeps it for two
	// more).
	settled     = 4
	settleLimit = 30 * time.Second
)

// fill measures what sessions cost, on a separate server that collects garbage
// often. It creates a few first, so that connections and buffers do not count as
// sessions.
func (t *trial) fill(ctx context.Context) error {
	t.progress("create %d sessions", t.Sessions)
	before, err := t.stoppedSize(ctx)
	if err != nil {
		return err
	}
	if err := t.start(ctx, "GOGC=10"); err != nil {
		return err
	}
	first := min(t.Sessions, 100)
	if err := t.makeSessions(ctx, first); err != nil {
		return err
	}
	growth, noise, err := t.growth(ctx)
	if err != nil {
		return err
	}
	after, err := t.stoppedSize(ctx)
	if err != nil {
		return err
	}
	t.row.MemoryGrowth, t.row.MemoryNoise = growth, noise
	t.row.SessionSize = (after - before) / int64(first+t.Sessions)
	if t.row.Store == "memory" {
		t.row.SessionSize = growth / int64(t.Sessions)
	}
	return nil
}

// stoppedSize stops the server and returns the size of its store in bytes.
func (t *trial) stoppedSize(ctx context.Context) (int64, error) {
	if err := t.server.Stop(); err != nil {
		return 0, err
	}
	return t.place.size(ctx)
}

// growth returns by how many bytes the server's heap grows with t.Sessions sessions, and
// what may be noise of that: the heap is measured before them and after each part of
// them, and the line that fits best is taken, with three standard errors of its slope.
func (t *trial) growth(ctx context.Context) (growth, noise int64, err error) {
	var created, heap [parts + 1]float64
	for i := range heap {
		live, err := t.liveHeap(ctx)
		if err != nil {
			return 0, 0, err
		}
		created[i], heap[i] = float64(t.Sessions*i/parts), float64(live)
		if i < parts {
			if err := t.makeSessions(ctx, t.Sessions*(i+1)/parts-t.Sessions*i/parts); err != nil {
				return 0, 0, err
			}
		}
	}
	slope, deviation := fit(created[:], heap[:])
	all := float64(t.Sessions)
	return int64(slope * all), int64(3 * deviation * all), nil
}

// fit returns the slope of the line that fits the points best, by least squares, and the
// standard error of that slope.
func fit(x, y []float64) (slope, deviation float64) {
	n := float64(len(x))
	var meanX, meanY, xx, xy, rest float64
	for i := range x {
		meanX, meanY = meanX+x[i]/n, meanY+y[i]/n
	}
	for i := range x {
		xx += (x[i] - meanX) * (x[i] - meanX)
		xy += (x[i] - meanX) * (y[i] - meanY)
	}
	if xx == 0 {
		return 0, 0
	}
	slope = xy / xx
	for i := range x {
		off := y[i] - meanY - slope*(x[i]-meanX)
		rest += off * off
	}
	return slope, math.Sqrt(rest / (n - 2) / xx)
}

// makeSessions creates n guest sessions.
func (t *trial) makeSessions(ctx context.Context, n int) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(parallel)
	for number := range n {
		all.Go(func() error {
			guest := t.browser.Stranger()
			form := url.Values{"key": {"number"}, "value": {strconv.Itoa(number)}}
			err := visitor.Sent(guest.Post(ctx, "/session", form))
			if err == nil && guest.Token() == "" {
				err = errors.New("no cookie")
			}
			if err != nil {
				return fmt.Errorf("create session %d of %d: %w", number+1, n, err)
			}
			return nil
		})
	}
	return all.Wait()
}

// liveHeap returns the lowest live heap of the server, in bytes, once it has
// settled. Reading the metrics creates garbage, so collections keep happening.
func (t *trial) liveHeap(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	at := visitor.New(strings.TrimSuffix(t.server.Says("metrics"), "/metrics"))
	defer at.Close()
	lowest, since := math.Inf(1), 0.0 // the collection that found the lowest value
	for {
		said, err := at.Get(ctx, "/metrics")
		if err != nil {
			return 0, err
		}
		live, errLive := metric(said.Body, "go_gc_heap_live_bytes")
		collections, err := metric(said.Body, "go_gc_cycles_total_gc_cycles_total")
		if err := errors.Join(errLive, err); err != nil {
			return 0, err
		}
		if live < lowest {
			lowest, since = live, collections
		}
		if collections >= since+settled {
			return int64(lowest), nil
		}
	}
}

// metric reads one value from Prometheus' text format.
func metric(said []byte, name string) (float64, error) {
	for line := range strings.Lines(string(said)) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}
