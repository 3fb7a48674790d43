package database

import (
	"context"
	"database/sql"
	"strings"
	"time"
)

// A statement may hold these words, which the two databases put differently:
//
//   - NOW_MS is the database's clock in Unix milliseconds, when the statement
//     runs: in PostgreSQL, now() would be when its transaction began. This clock
//     judges all ages, so that servers whose clocks differ agree.
//   - STAMP_MS is that clock, too, but never before the floor that
//     [devices.Clock] has returned: it stamps the end of a session.
//   - JSON_TEXTS is the function that makes a table, with the column value, of a
//     JSON array of texts.
//   - FOR UPDATE, FOR SHARE and FOR KEY SHARE lock rows. SQLite has no words for
//     that, and one writer at a time.
//
// This is the only place where SQL is substituted.
func postgresDialect() *strings.Replacer {
	const now = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`
	return strings.NewReplacer(
		"NOW_MS", now, "STAMP_MS", `GREATEST(`+now+`, (SELECT floor_ms FROM clock))`,
		"JSON_TEXTS", "json_array_elements_text")
}

func sqliteDialect() *strings.Replacer {
	const now = `CAST(unixepoch('subsec') * 1000 AS INTEGER)`
	return strings.NewReplacer(
		"NOW_MS", now, "STAMP_MS", `MAX(`+now+`, (SELECT floor_ms FROM clock))`,
		"JSON_TEXTS", "json_each",
		"FOR UPDATE", "", "FOR SHARE", "", "FOR KEY SHARE", "")
}

// conn runs statements in the words of its database, and reports each to the
// [Trace] of its context.
type conn struct {
	via interface { // a *sql.DB or *sql.Tx
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}
	dialect *strings.Replacer
}

// into is where the columns of a row go.
type into []any

// exec returns how many rows a statement changed.
func (c conn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	query, began := c.dialect.Replace(query), time.Now()
	result, err := c.via.ExecContext(ctx, query, args...)
	traceOf(ctx).ran(query, began, err)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// scan reads the first row of a query, or returns [sql.ErrNoRows].
func (c conn) scan(ctx context.Context, dest into, query string, args ...any) error {
	query, began := c.dialect.Replace(query), time.Now()
	row := c.via.QueryRowContext(ctx, query, args...)
	traceOf(ctx).ran(query, began, row.Err())
	return row.Scan(dest...)
}

// collect reads every row of a query. columns says where those of one row go.
func collect[T any](ctx context.Context, c conn, columns func(*T) into, query string, args ...any) (all []T, err error) {
	query, began := c.dialect.Replace(query), time.Now()
	rows, err := c.via.QueryContext(ctx, query, args...)
	traceOf(ctx).ran(query, began, err)
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

// single is for collect, where a row has one column.
func single[T any](column *T) into { return into{column} }

// maxTries is how often one call is tried where PostgreSQL says that it has changed
// nothing and may succeed if it is repeated.
const maxTries = 5

// call runs one call within the deadline of calls, and names its failure.
func (db *DB) call(ctx context.Context, doing string, run func(context.Context) error) error {
	inner, cancel := context.WithTimeout(ctx, db.timeout)
	defer cancel()
	err := run(inner)
	for tries := 1; tries < maxTries && db.retryable(err); tries++ {
		err = run(inner)
	}
	return failure(ctx, doing, err)
}

// exec is one call that runs one statement.
func (db *DB) exec(ctx context.Context, doing, query string, args ...any) (changed int64, err error) {
	err = db.call(ctx, doing, func(ctx context.Context) (err error) {
		changed, err = db.conn.exec(ctx, query, args...)
		return err
	})
	return changed, err
}

// scan is one call that reads one row, or returns [fault.ErrNotFound].
func (db *DB) scan(ctx context.Context, doing string, dest into, query string, args ...any) error {
	return db.call(ctx, doing, func(ctx context.Context) error { return db.conn.scan(ctx, dest, query, args...) })
}

// list is one call that reads every row of a query.
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

// transaction is one call that runs do in a transaction and commits it. If the
// transaction has to be repeated, so is do.
func (db *DB) transaction(ctx context.Context, doing string, do func(*tx)) error {
	committing := false
	err := db.call(ctx, doing, func(ctx context.Context) error {
		committing = false
		began := time.Now()
		open, err := db.sql.BeginTx(ctx, nil)
		traceOf(ctx).ran("BEGIN", began, err)
		if err != nil {
			return err
		}
		defer open.Rollback()
		t := &tx{ctx: ctx, conn: conn{open, db.conn.dialect}}
		if do(t); t.err != nil {
			return t.err
		}
		committing, began = true, time.Now()
		err = open.Commit()
		traceOf(ctx).ran("COMMIT", began, err)
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

// scan fails with [sql.ErrNoRows] where there is no row.
func (t *tx) scan(dest into, query string, args ...any) {
	if t.err == nil {
		t.err = t.conn.scan(t.ctx, dest, query, args...)
	}
}
