package store

import (
	"context"
	"time"

	"github.com/gomodule/redigo/redis"
)

// Trace holds what to call for operations of a store that are made with a context
// that carries it, in the manner of [net/http/httptrace].
type Trace struct {
	// Ran is called after each operation, in the goroutine that made it: one
	// function of this package is between Ran and the method of the store.
	Ran func(Operation)
}

// Operation is one command to Redis, or what another store does in its place.
type Operation struct {
	Store string // for people
	Name  string // of the command
	Args  []any  // stored bytes are a []byte
	Value []byte // what a read of one key found
	Began time.Time
	Err   error
}

type traceKey struct{}

// WithTrace returns a context that carries t.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

func traceOf(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}

// ran reports an operation; t may be nil.
func (t *Trace) ran(store string, began time.Time, value []byte, err error, name string, args ...any) {
	if t != nil {
		t.Ran(Operation{Store: store, Name: name, Args: args, Value: value, Began: began, Err: err})
	}
}

// tracedCheck is check, observed by cfg.Connecting.
func tracedCheck(cfg Config, check func(context.Context, redis.Conn) error) func(context.Context, redis.Conn) error {
	if cfg.Connecting == nil {
		return check
	}
	return func(ctx context.Context, conn redis.Conn) error {
		ctx, done := cfg.Connecting(ctx)
		err := check(ctx, conn)
		done(err)
		return err
	}
}
