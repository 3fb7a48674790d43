package store

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/learn/trace"
)

// waits keeps what was done to the latest new connection before it was believed,
// for the records of the requests that waited for it: on the one connection
// that all share, those are all that were under way.
type waits struct{ latest atomic.Pointer[waited] }

type waited struct {
	until time.Time
	steps []trace.Step
}

// noting is check, noted.
func (w *waits) noting(check func(context.Context, redis.Conn) error) func(context.Context, redis.Conn) error {
	return func(ctx context.Context, conn redis.Conn) error {
		rec, began := trace.New(false), time.Now()
		err := check(trace.With(ctx, rec), conn)
		rec.Timed(began, trace.Connection{To: "Redis", Beat: beatKey, Cause: trace.Cause(err)})
		w.latest.Store(&waited{time.Now(), rec.Attempt()})
		return err
	}
}

// adopt adds them to the record of a request whose command was sent at a time
// and has been answered.
func (w *waits) adopt(ctx context.Context, sent time.Time) {
	if w == nil {
		return
	}
	if rec, latest := trace.From(ctx), w.latest.Load(); rec != nil && latest != nil && sent.Before(latest.until) {
		rec.Adopt(latest.steps)
	}
}
