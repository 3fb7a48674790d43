package database

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Start is one start of a server process.
type Start struct {
	// Instance tells the running processes apart, Version their builds.
	Instance, Version string
	At                time.Time
}

// The one row that nobody else took. WHERE true tells SQLite's parser that ON
// begins no join.
const insertStart = `
INSERT INTO starts (number, instance, version, started_ms)
SELECT COALESCE(MAX(number), 0) + 1, $1, $2, $3
FROM starts
WHERE true
ON CONFLICT (number) DO NOTHING
RETURNING number`

// RecordStart writes a start down and returns its number: 1 for the first, and
// one more for each, without gap or repeat however many processes start at
// once. It returns [account.ErrUnavailable] when that could not be done in
// time.
func (db *DB) RecordStart(ctx context.Context, s Start) (int64, error) {
	ctx, cancel, failed := db.bounded(ctx, "record start")
	defer cancel()
	for {
		var number int64
		err := db.sql.QueryRowContext(ctx, insertStart, s.Instance, s.Version, s.At.UnixMilli()).Scan(&number)
		// No row: another start took the number. In every round one gets it,
		// so all do.
		if !errors.Is(err, sql.ErrNoRows) {
			return number, failed(err)
		}
	}
}

const latestStart = `
SELECT COALESCE(MAX(number), 0)
FROM starts`

// LatestStart returns the number of the latest start, 0 when there was none, or
// [account.ErrUnavailable].
func (db *DB) LatestStart(ctx context.Context) (number int64, err error) {
	ctx, cancel, failed := db.bounded(ctx, "read latest start")
	defer cancel()
	err = db.sql.QueryRowContext(ctx, latestStart).Scan(&number)
	return number, failed(err)
}

const startByNumber = `
SELECT instance, version, started_ms
FROM starts
WHERE number = $1`

// StartOf returns the start with a number, [account.ErrNotFound], or
// [account.ErrUnavailable].
func (db *DB) StartOf(ctx context.Context, number int64) (Start, error) {
	ctx, cancel, failed := db.bounded(ctx, "read start")
	defer cancel()
	var s Start
	var started int64
	err := db.sql.QueryRowContext(ctx, startByNumber, number).Scan(&s.Instance, &s.Version, &started)
	s.At = time.UnixMilli(started).UTC()
	return s, failed(err)
}
