package database

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"holdfast/internal/account"
)

// named are the failures that a transaction returns as they are.
func named(err error) bool {
	return errors.Is(err, account.ErrNotFound) || errors.Is(err, account.ErrLinkInvalid) || errors.Is(err, account.ErrEmailTaken)
}

// transaction runs do in one transaction, within the limit of one call. A named
// failure of account takes everything back and is returned as it is.
func (db *DB) transaction(ctx context.Context, doing string, do func(context.Context, tracedTx) error) error {
	inner, cancel, failed := db.bounded(ctx, doing)
	defer cancel()
	tx, err := db.sql.BeginTx(inner, nil)
	if err != nil {
		return failed(err)
	}
	defer tx.Rollback()
	if err := do(inner, tx); err != nil {
		if named(err) {
			return err
		}
		return failed(err)
	}
	return ofWrite(failed(tx.Commit()))
}

// locking returns a statement that says how PostgreSQL is to lock the rows it
// selects as this database understands it: SQLite has one writer at a time, and no
// words for locks.
func (db *DB) locking(text string) string {
	if db.pool != nil {
		return text
	}
	return strings.NewReplacer("FOR KEY SHARE", "", "FOR SHARE", "", "FOR UPDATE", "").Replace(text)
}

// row is one statement that returns one row.
func (t tracedTx) row(ctx context.Context, query string, args ...any) *sql.Row {
	began := time.Now()
	row := t.Tx.QueryRowContext(ctx, query, args...)
	t.trace.ran(query, began, row.Err())
	return row
}

// change runs one statement and returns how many rows it changed.
func (t tracedTx) change(ctx context.Context, query string, args ...any) (int64, error) {
	return affected(t.ExecContext(ctx, query, args...))
}

// each runs statements that take the same arguments, one after the other.
func (t tracedTx) each(ctx context.Context, queries []string, args ...any) error {
	for _, query := range queries {
		if _, err := t.ExecContext(ctx, query, args...); err != nil {
			return err
		}
	}
	return nil
}
