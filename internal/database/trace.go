package database

import (
	"context"
	"database/sql"
	"time"
)

// Trace holds what to call for statements that run with a context that carries
// it, in the manner of [net/http/httptrace]. Without one, a statement costs one
// look into its context.
type Trace struct {
	// Ran is called after each statement, BEGIN and COMMIT included, in the
	// goroutine that ran it: two functions of this package are between Ran and
	// the one that asked for the statement.
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

func traceOf(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}

// ran reports a statement; t may be nil.
func (t *Trace) ran(text string, began time.Time, err error) {
	if t != nil {
		t.Ran(Statement{text, began, err})
	}
}

// traced is the handle that every statement of this package goes through. Its
// methods shadow those of [sql.DB].
type traced struct{ *sql.DB }

func (db traced) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	began := time.Now()
	row := db.DB.QueryRowContext(ctx, query, args...)
	traceOf(ctx).ran(query, began, row.Err())
	return row
}

func (db traced) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	began := time.Now()
	rows, err := db.DB.QueryContext(ctx, query, args...)
	traceOf(ctx).ran(query, began, err)
	return rows, err
}

func (db traced) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	began := time.Now()
	result, err := db.DB.ExecContext(ctx, query, args...)
	traceOf(ctx).ran(query, began, err)
	return result, err
}

func (db traced) BeginTx(ctx context.Context, options *sql.TxOptions) (tracedTx, error) {
	began := time.Now()
	tx, err := db.DB.BeginTx(ctx, options)
	trace := traceOf(ctx)
	trace.ran("BEGIN", began, err)
	return tracedTx{tx, trace}, err
}

// tracedTx is traced for one transaction.
type tracedTx struct {
	*sql.Tx
	trace *Trace // nil for none
}

func (tx tracedTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	began := time.Now()
	result, err := tx.Tx.ExecContext(ctx, query, args...)
	tx.trace.ran(query, began, err)
	return result, err
}

func (tx tracedTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	began := time.Now()
	rows, err := tx.Tx.QueryContext(ctx, query, args...)
	tx.trace.ran(query, began, err)
	return rows, err
}

func (tx tracedTx) Commit() error {
	began := time.Now()
	err := tx.Tx.Commit()
	tx.trace.ran("COMMIT", began, err)
	return err
}
