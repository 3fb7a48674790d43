package session

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/learn/trace"
)

// PoolLimits bound what one process asks of Redis.
type PoolLimits struct {
	// Size is the largest number of connections, busy and idle alike: fewer
	// idle ones than busy ones would mean dialling all the time under load.
	Size    int
	Connect time.Duration // longest time to open a connection
	// Timeout is the whole budget of one operation: the wait for a free
	// connection, the write and the read.
	Timeout time.Duration
}

// dialRedis opens one connection to the Redis the cells belong to.
type dialRedis func(ctx context.Context, options ...redis.DialOption) (redis.Conn, error)

var errStale = errors.New("connection is from before a failure")

// dialled is a pooled connection that knows when it was opened.
type dialled struct {
	redis.Conn
	generation int64
}

// DoWithTimeout implements [redis.ConnWithTimeout].
func (d *dialled) DoWithTimeout(timeout time.Duration, cmd string, args ...any) (any, error) {
	return redis.DoWithTimeout(d.Conn, timeout, cmd, args...)
}

// ReceiveWithTimeout implements [redis.ConnWithTimeout].
func (d *dialled) ReceiveWithTimeout(timeout time.Duration) (any, error) {
	return redis.ReceiveWithTimeout(d.Conn, timeout)
}

// do sends one command within ctx's deadline.
func (r *redisCells) do(ctx context.Context, cmd string, args ...any) (any, error) {
	rec := trace.From(ctx)
	if rec == nil {
		return r.send(ctx, cmd, args...)
	}
	began := time.Now()
	reply, err := r.send(ctx, cmd, args...)
	rec.Timed(began, command(rec, r.name, reply, err, cmd, args...))
	return reply, err
}

func (r *redisCells) send(ctx context.Context, cmd string, args ...any) (any, error) {
	conn, err := r.pool.GetContext(ctx)
	if err != nil {
		return nil, r.note(cmd, err)
	}
	defer conn.Close()
	left := r.timeout
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline))
	}
	if left <= 0 {
		return nil, context.DeadlineExceeded
	}
	reply, err := redis.DoWithTimeout(conn, left, cmd, args...)
	return reply, r.note(cmd, err)
}

// note looks at the outcome of a command: a broken connection, or a Redis that
// is no longer the one to talk to, makes every connection from before stale.
// Having waited in vain for a connection says nothing about the others.
func (r *redisCells) note(cmd string, err error) error {
	switch {
	case err == nil:
		r.reach.isWell()
		if stores(cmd) {
			r.room.isWell()
		}
	case errors.Is(err, context.Canceled), isReply(err, "NOSCRIPT", "WRONGTYPE"):
	case errors.Is(err, context.DeadlineExceeded):
		r.reach.isIll(err)
	case isReply(err, "OOM", "MISCONF", "NOREPLICAS"):
		r.room.isIll(err)
	case isReply(err, "READONLY"):
		r.generation.Add(1)
		r.room.isIll(err)
	case isReply(err, "LOADING", "MASTERDOWN", "NOAUTH", "NOPERM", "WRONGPASS"), !isReply(err):
		r.generation.Add(1)
		r.reach.isIll(err)
	default:
		r.reach.isIll(err)
	}
	return err
}

// stores reports whether a command takes room in Redis.
func stores(cmd string) bool { return cmd == "EVALSHA" || cmd == "EVAL" || cmd == "SET" }

// isReply reports whether err is an error reply of Redis, as opposed to a
// failed connection; with codes given, whether it is one of those.
func isReply(err error, codes ...string) bool {
	if err == nil {
		return false // as almost always; errors.As would cost an allocation
	}
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	if len(codes) == 0 {
		return true
	}
	code, _, _ := strings.Cut(string(reply), " ")
	for _, known := range codes {
		if code == known {
			return true
		}
	}
	return false
}

// broken reports whether err is a connection that was cut, so that nothing is
// known of Redis itself yet: worth one try on a fresh connection.
func broken(err error) bool {
	if err == nil {
		return false
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return false
	}
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || (errors.As(err, &op) && op.Op != "dial")
}

// health logs once when something stops working and once when it works again,
// however many requests notice.
type health struct {
	log       *slog.Logger
	ill, well string
	bad       atomic.Bool
}

func (h *health) isIll(cause error) {
	if h.bad.CompareAndSwap(false, true) {
		h.log.Error(h.ill, "cause", cause)
	}
}

func (h *health) isWell() {
	if h.bad.Load() && h.bad.CompareAndSwap(true, false) {
		h.log.Info(h.well)
	}
}
