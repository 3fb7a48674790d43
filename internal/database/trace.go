package database

import (
	"context"
	"time"
)

// Trace holds the functions to call for statements that run with a context that carries
// it, in the manner of [net/http/httptrace]. Without a Trace, a statement costs one
// context lookup.
type Trace struct {
	// Ran is called after each statement, BEGIN and COMMIT included, in the
	// goroutine that ran it.
	Ran func(Statement)
}

// Statement is one SQL statement that has run.
type Statement struct {
	Text  string // without its arguments
	Began time.Time
	Err   error
}

type traceKey struct{}

// WithTrace returns a context that carries t.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// report passes a statement to the Trace in ctx, if there is one.
func report(ctx context.Context, text string, began time.Time, err error) {
	if t, _ := ctx.Value(traceKey{}).(*Trace); t != nil {
		t.Ran(Statement{text, began, err})
	}
}
