package database

import (
	"context"
	"database/sql"
	"strings"
	"time"
)

// conn runs statements in the dialect of its database, and reports each to the [Trace]
// in its context.
type conn struct {
	via interface { // a *sql.DB or *sql.Tx
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}
	words *strings.Replacer
}

// into holds the destinations of a row's columns.
type into []any

// exec returns how many rows a statement changed.
func (c conn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	query, began := c.words.Replace(query), time.Now()
	result, err := c.via.ExecContext(ctx, query, args...)
	report(ctx, query, began, err)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// scan reads the first row of a query, or returns [sql.ErrNoRows].
func (c conn) scan(ctx context.Context, dest into, query string, args ...any) error {
	query, began := c.words.Replace(query), time.Now()
	row := c.via.QueryRowContext(ctx, query, args...)
	report(ctx, query, began, row.Err())
	return row.Scan(dest...)
}

// collect reads every row of a query. columns returns the destinations for one row.
func collect[T any](ctx context.Context, c conn, columns func(*T) into, query string, args ...any) (all []T, err error) {
	query, began := c.words.Replace(query), time.Now()
	rows, err := c.via.QueryContext(ctx, query, args...)
	report(ctx, query, began, err)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var row T
		if err := rows.Scan(columns(&row)...); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// single is for collect, if a row has one column.
func single[T any](column *T) into { return into{column} }

// maxTries is how often one call is tried if PostgreSQL says that it has changed
// nothing and may succeed if repeated.
const maxTries = 5

// call runs one call within the time limit of calls, and names its failure.
func (db *DB) call(ctx context.Context, doing string, run func(context.Context) error) error {
	inner, cancel := context.WithTimeout(ctx, db.timeout)
	defer cancel()
	err := run(inner)
	for tries := 1; tries < maxTries && db.retryable(err); tries++ {
		err = run(inner)
	}
	return failure(ctx, doing, err)
}

// exec runs one statement as one call.
func (db *DB) exec(ctx context.Context, doing, query string, args ...any) (changed int64, err error) {
	err = db.call(ctx, doing, func(ctx context.Context) (err error) {
		changed, err = db.conn.exec(ctx, query, args...)
		return err
	})
	return changed, err
}

// scan reads one row as one call, or returns [fault.ErrNotFound].
func (db *DB) scan(ctx context.Context, doing string, dest into, query string, args ...any) error {
	return db.call(ctx, doing, func(ctx context.Context) error { return db.conn.scan(ctx, dest, query, args...) })
}

// list reads every row of a query as one call.
func list[T any](ctx context.Context, db *DB, doing string, columns func(*T) into, query string, args ...any) (all []T, err error) {
	err = db.call(ctx, doing, func(ctx context.Context) (err error) {
		all, err = collect(ctx, db.conn, columns, query, args...)
		return err
	})
	return all, err
}

// tx is one transaction. It keeps its first failure, as a [bufio.Writer] does:
// after that its methods do nothing, and everything is rolled back.
type tx struct {
	ctx  context.Context
	conn conn
	err  error
}

// transaction runs do in a transaction and commits it, as one call. If the transaction
// is retried, do runs again.
func (db *DB) transaction(ctx context.Context, doing string, do func(*tx)) error {
	committing := false
	err := db.call(ctx, doing, func(ctx context.Context) error {
		committing = false
		began := time.Now()
		open, err := db.sql.BeginTx(ctx, nil)
		report(ctx, "BEGIN", began, err)
		if err != nil {
			return err
		}
		defer open.Rollback()
		t := &tx{ctx: ctx, conn: conn{open, db.words}}
		if do(t); t.err != nil {
			return t.err
		}
		committing, began = true, time.Now()
		err = open.Commit()
		report(ctx, "COMMIT", began, err)
		return err
	})
	if committing {
		return ofWrite(err)
	}
	return err
}

// fail rolls back the transaction.
func (t *tx) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

func (t *tx) exec(query string, args ...any) (changed int64) {
	if t.err == nil {
		changed, t.err = t.conn.exec(t.ctx, query, args...)
	}
	return changed
}

// scan fails with [sql.ErrNoRows] if there is no row.
func (t *tx) scan(dest into, query string, args ...any) {
	if t.err == nil {
		t.err = t.conn.scan(t.ctx, dest, query, args...)
	}
}
