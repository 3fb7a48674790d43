package store

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/learn/trace"
)

// replayWindow is how far back ended sessions are removed again when the store
// may have lost its latest writes.
const replayWindow = time.Hour

// replayTimeout bounds one replay. It does not depend on the request that
// caused it, which gives up much earlier.
const replayTimeout = 30 * time.Second

// replay removes the sessions that ended lately once more.
func replay(ctx context.Context, revoked Revoked, remove func(context.Context, ...string) error) error {
	return revoked(ctx, time.Now().Add(-replayWindow), func(keys []string) error {
		if err := remove(ctx, keys...); err != nil {
			return fmt.Errorf("remove ended sessions again: %w", err)
		}
		return nil
	})
}

// runs remembers which run of Redis is known to hold no session that has ended.
// The pipelined connection asks it about every new connection, one at a time.
type runs struct {
	revoked Revoked
	timeout time.Duration // of one command
	known   string
	latest  atomic.Pointer[checked] // nil: none yet
}

// checked is a check of a new connection that is over. All requests wait for it.
type checked struct {
	at    time.Time
	steps []trace.Step
}

// adopt adds the latest check to the record of a request that waited for it.
func (r *runs) adopt(ctx context.Context, began time.Time) {
	if r == nil {
		return
	}
	if rec, latest := trace.From(ctx), r.latest.Load(); rec != nil && latest != nil && began.Before(latest.at) {
		rec.Adopt(latest.steps)
	}
}

// check looks at a new connection. When it leads to another run of Redis than
// the one before, what that one holds may be older than what this server knows,
// so the sessions that ended are removed again first. A Redis user that may not
// ask INFO is taken for a new run each time.
func (r *runs) check(ctx context.Context, conn redis.Conn) error {
	rec := trace.New(false)
	ctx = trace.With(ctx, rec)
	err := r.checkTraced(ctx, conn)
	r.latest.Store(&checked{time.Now(), rec.Making()})
	return err
}

func (r *runs) checkTraced(ctx context.Context, conn redis.Conn) error {
	began := time.Now()
	info, err := redis.DoWithTimeout(conn, r.timeout, "INFO", "server")
	noteWrite(ctx, "Redis", began, "INFO server", err)
	id, err := runID(info, err)
	if err != nil || id != "" && id == r.known {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	err = replay(ctx, r.revoked, func(_ context.Context, keys ...string) error {
		began := time.Now()
		_, err := redis.DoWithTimeout(conn, r.timeout, "DEL", prefixed(keys)...)
		// Whose sessions those were is nobody's business who waits here.
		noteWrite(ctx, "Redis", began, fmt.Sprintf("DEL ‹%d keys›", len(keys)), err)
		return err
	})
	if err == nil {
		r.known = id
	}
	return err
}

// runID is the name that Redis gives itself anew at every start, "" when this
// user may not know it.
func runID(info any, err error) (string, error) {
	if isReply(err, "NOPERM") {
		return "", nil
	}
	text, err := redis.String(info, err)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		if id, ok := strings.CutPrefix(strings.TrimSpace(line), "run_id:"); ok {
			return id, nil
		}
	}
	return "", nil
}
