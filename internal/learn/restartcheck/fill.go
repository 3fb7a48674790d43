package restartcheck

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	parallel = 8 // sessions made at the same time
	// A heap has settled after three collections: one that was already under
	// way, and two until pooled buffers are let go (sync.Pool keeps them for
	// one more).
	settled     = 3
	settleLimit = 30 * time.Second
)

// fill measures what sessions cost, on a server of its own that collects
// garbage often: before counting it makes a few, so that connections and
// buffers are not taken for sessions.
func (t *trial) fill(ctx context.Context) error {
	t.progress("make %d sessions", t.Sessions)
	if err := t.server.stop(); err != nil {
		return err
	}
	before, err := t.place.size(ctx)
	if err != nil {
		return err
	}
	if err := t.start(ctx, "GOGC=10", "GOMEMLIMIT="); err != nil {
		return err
	}
	first := min(t.Sessions, 100)
	growth, err := t.growth(ctx, first)
	if err != nil {
		return err
	}
	if err := t.server.stop(); err != nil {
		return err
	}
	after, err := t.place.size(ctx)
	if err != nil {
		return err
	}
	t.row.MemoryGrowth = growth
	t.row.SessionSize = (after - before) / int64(first+t.Sessions)
	if t.row.Store == "memory" {
		t.row.SessionSize = growth / int64(t.Sessions)
	}
	return nil
}

// growth is how much the server's heap grows with t.Sessions sessions, after
// the first ones.
func (t *trial) growth(ctx context.Context, first int) (int64, error) {
	client := t.place.client()
	if err := t.makeSessions(ctx, client, first); err != nil {
		return 0, err
	}
	before, err := liveHeap(ctx, client, t.server)
	if err != nil {
		return 0, err
	}
	if err := t.makeSessions(ctx, client, t.Sessions); err != nil {
		return 0, err
	}
	after, err := liveHeap(ctx, client, t.server)
	return after - before, err
}

// makeSessions makes n sessions of guests.
func (t *trial) makeSessions(ctx context.Context, client *http.Client, n int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var begun atomic.Int64
	var workers sync.WaitGroup
	for range parallel {
		workers.Go(func() {
			for ctx.Err() == nil {
				number := begun.Add(1)
				if number > int64(n) {
					return
				}
				if err := makeSession(ctx, client, t.server, number); err != nil {
					cancel(fmt.Errorf("session %d of %d: %w", number, n, err))
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

func makeSession(ctx context.Context, client *http.Client, at *child, number int64) error {
	response, err := post(ctx, client, at, "/session", url.Values{
		"key": {"number"}, "value": {strconv.FormatInt(number, 10)},
	})
	if err != nil {
		return err
	}
	for _, cookie := range response.Cookies() {
		if response.StatusCode == http.StatusSeeOther && cookie.Name == sessionCookie {
			return nil
		}
	}
	return fmt.Errorf("POST /session: status %d and no session\n%s", response.StatusCode, at.log)
}

// liveHeap is what the server's heap holds after collecting garbage, in bytes.
// Each look at its metrics makes some garbage, so that a collection comes.
func liveHeap(ctx context.Context, client *http.Client, at *child) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	first := -1.0
	for {
		live, collections, err := readMetrics(ctx, client, at.says["metrics"])
		if err != nil {
			return 0, fmt.Errorf("%w\n%s", err, at.log)
		}
		if first < 0 {
			first = collections
		}
		if collections >= first+settled {
			return int64(live), nil
		}
	}
}

func readMetrics(ctx context.Context, client *http.Client, at string) (live, collections float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return 0, 0, err
	}
	// A compressor would weigh as much as a thousand sessions.
	request.Header.Set("Accept-Encoding", "identity")
	response, err := client.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	live, collections = -1, -1
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "go_gc_heap_live_bytes":
			live, err = strconv.ParseFloat(value, 64)
		case "go_gc_cycles_total_gc_cycles_total":
			collections, err = strconv.ParseFloat(value, 64)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("read %s: %w", at, err)
		}
	}
	if err := lines.Err(); err != nil {
		return 0, 0, fmt.Errorf("read %s: %w", at, err)
	}
	if live < 0 || collections < 0 {
		return 0, 0, errors.New(at + " does not tell the size of the heap")
	}
	return live, collections, nil
}
