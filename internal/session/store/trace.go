package store

import (
	"context"
	"time"
)

// Trace holds callbacks for the operations of a store, in the manner of
// [net/http/httptrace]. Attach it to a context with [WithTrace].
type Trace struct {
	// Ran is called after each operation, in the goroutine that made it. Exactly
	// one function of this package is between Ran and the method of the store in
	// the call stack.
	Ran func(Operation)
}

// Operation is one command to Redis, or its equivalent in another store.
type Operation struct {
	Store string // for display
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
