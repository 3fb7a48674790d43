package database

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// tx runs statements in the dialect of its database, and reports each to the [Trace] in
// ctx. It keeps its first failure, as a [bufio.Writer] does: after that its methods do
// nothing, and its transaction, if it has one, is rolled back.
type tx struct {
	ctx   context.Context
	words *strings.Replacer
	via   interface { // a *sql.DB or *sql.Tx
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}
	err error
}

// into holds the destinations of a row's columns.
type into []any

// exec returns how many rows a statement changed.
func (t *tx) exec(query string, args ...any) (changed int64) {
	if t.err != nil {
		return 0
	}
	query, began := t.words.Replace(query), time.Now()
	result, err := t.via.ExecContext(t.ctx, query, args...)
	report(t.ctx, query, began, err)
	if err == nil {
		changed, err = result.RowsAffected()
	}
	t.err = err
	return changed
}

// scan reads the first row of a query, or fails with [sql.ErrNoRows].
func (t *tx) scan(dest into, query string, args ...any) {
	if t.err != nil {
		return
	}
	query, began := t.words.Replace(query), time.Now()
	row := t.via.QueryRowContext(t.ctx, query, args...)
	report(t.ctx, query, began, row.Err())
	t.err = row.Scan(dest...)
}

// count reads the number that a query returns, 0 after a failure.
func (t *tx) count(query string, args ...any) (n int) {
	t.scan(into{&n}, query, args...)
	return n
}

// fail makes t fail.
func (t *tx) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// collect reads every row of a query. columns returns the destinations for one row.
func collect[T any](t *tx, columns func(*T) into, query string, args ...any) (all []T) {
	if t.err != nil {
		return nil
	}
	query, began := t.words.Replace(query), time.Now()
	rows, err := t.via.QueryContext(t.ctx, query, args...)
	report(t.ctx, query, began, err)
	if err != nil {
		t.err = err
		return nil
	}
	defer rows.Close()
	for rows.Next() {
		var row T
		if t.err = rows.Scan(columns(&row)...); t.err != nil {
			return nil
		}
		all = append(all, row)
	}
	t.err = rows.Err()
	return all
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

// statement runs one statement as one call.
func (db *DB) statement(ctx context.Context, doing string, do func(*tx)) error {
	return db.call(ctx, doing, func(ctx context.Context) error {
		t := &tx{ctx: ctx, words: db.words, via: db.sql}
		do(t)
		return t.err
	})
}

// exec runs one statement as one call.
func (db *DB) exec(ctx context.Context, doing, query string, args ...any) (changed int64, err error) {
	err = db.statement(ctx, doing, func(t *tx) { changed = t.exec(query, args...) })
	return changed, err
}

// scan reads one row as one call, or returns [fault.ErrNotFound].
func (db *DB) scan(ctx context.Context, doing string, dest into, query string, args ...any) error {
	return db.statement(ctx, doing, func(t *tx) { t.scan(dest, query, args...) })
}

// list reads every row of a query as one call.
func list[T any](ctx context.Context, db *DB, doing string, columns func(*T) into, query string, args ...any) (all []T, err error) {
	err = db.statement(ctx, doing, func(t *tx) { all = collect(t, columns, query, args...) })
	return all, err
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
		t := &tx{ctx: ctx, words: db.words, via: open}
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

// millis is a time in a column of Unix milliseconds; NULL is the zero time.
type millis time.Time

// Scan implements [sql.Scanner].
func (m *millis) Scan(value any) error {
	switch ms := value.(type) {
	case nil:
		*m = millis{}
	case int64:
		*m = millis(time.UnixMilli(ms).UTC())
	default:
		return fmt.Errorf("a time is stored as %T", value)
	}
	return nil
}

// fromJSON reads a JSON column into a value.
type fromJSON struct{ value any }

// Scan implements [sql.Scanner].
func (j fromJSON) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("JSON is stored as %T", value)
	}
	return json.Unmarshal([]byte(text), j.value)
}

// jsonTexts returns the argument of JSON_TEXTS.
func jsonTexts(texts []string) string {
	array, _ := json.Marshal(texts) // cannot fail for a slice of strings
	return string(array)
}
