package database

import (
	"context"
	"database/sql"
	"time"

	"holdfast/internal/learn/trace"
)

// traced is the handle that every statement of this package goes through. For
// a request that is watched it notes the text of each, never its arguments, and
// how long it took.
type traced struct{ *sql.DB }

// QueryRowContext shadows [sql.DB.QueryRowContext].
func (t traced) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	rec := trace.From(ctx)
	if rec == nil {
		return t.DB.QueryRowContext(ctx, query, args...)
	}
	began := time.Now()
	row := t.DB.QueryRowContext(ctx, query, args...)
	addStep(rec, began, query, row.Err())
	return row
}

// QueryContext shadows [sql.DB.QueryContext].
func (t traced) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rec := trace.From(ctx)
	if rec == nil {
		return t.DB.QueryContext(ctx, query, args...)
	}
	began := time.Now()
	rows, err := t.DB.QueryContext(ctx, query, args...)
	addStep(rec, began, query, err)
	return rows, err
}

// ExecContext shadows [sql.DB.ExecContext].
func (t traced) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	rec := trace.From(ctx)
	if rec == nil {
		return t.DB.ExecContext(ctx, query, args...)
	}
	began := time.Now()
	result, err := t.DB.ExecContext(ctx, query, args...)
	addStep(rec, began, query, err)
	return result, err
}

// BeginTx shadows [sql.DB.BeginTx].
func (t traced) BeginTx(ctx context.Context, options *sql.TxOptions) (tracedTx, error) {
	rec := trace.From(ctx)
	began := time.Now()
	tx, err := t.DB.BeginTx(ctx, options)
	if rec != nil {
		addStep(rec, began, "BEGIN", err)
	}
	return tracedTx{tx, rec}, err
}

// tracedTx is traced for one transaction.
type tracedTx struct {
	*sql.Tx
	rec *trace.Recorder
}

// ExecContext shadows [sql.Tx.ExecContext].
func (t tracedTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	began := time.Now()
	result, err := t.Tx.ExecContext(ctx, query, args...)
	if t.rec != nil {
		addStep(t.rec, began, query, err)
	}
	return result, err
}

// QueryContext shadows [sql.Tx.QueryContext].
func (t tracedTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	began := time.Now()
	rows, err := t.Tx.QueryContext(ctx, query, args...)
	if t.rec != nil {
		addStep(t.rec, began, query, err)
	}
	return rows, err
}

// Commit shadows [sql.Tx.Commit].
func (t tracedTx) Commit() error {
	began := time.Now()
	err := t.Tx.Commit()
	if t.rec != nil {
		addStep(t.rec, began, "COMMIT", err)
	}
	return err
}

// addStep adds a statement to the trace, as a step of the function that ran it.
func addStep(rec *trace.Recorder, began time.Time, query string, err error) {
	rec.TimedOutside(2, began, trace.Statement{Text: query, Cause: trace.Cause(err)})
}
