package database

import (
	"context"
	"errors"
	"time"

	"holdfast/internal/fault"
)

// Start is one start of a server process.
type Start struct {
	// Instance identifies the running process, Version its build.
	Instance, Version string
	At                time.Time
}

// Insert the next number, unless another start took it. WHERE true keeps SQLite's
// parser from reading ON as part of a join.
const insertStart = `
INSERT INTO starts (number, instance, version, started_ms)
SELECT COALESCE(MAX(number), 0) + 1, $1, $2, $3
FROM starts
WHERE true
ON CONFLICT (number) DO NOTHING
RETURNING number`

// RecordStart records a start and returns its number: 1 for the first, and one more for
// each, without gap or repeat however many processes start at the same time. It returns
// [account.ErrUnavailable] if that could not be done in time.
func (db *DB) RecordStart(ctx context.Context, s Start) (int64, error) {
	for {
		var number int64
		err := db.scan(ctx, "record start", into{&number}, insertStart, s.Instance, s.Version, s.At.UnixMilli())
		// Not found: another start took the number. In every round one start gets it,
		// so all of them do.
		if !errors.Is(err, fault.ErrNotFound) {
			return number, err
		}
	}
}

const latestStart = `
SELECT COALESCE(MAX(number), 0)
FROM starts`

// LatestStart returns the number of the latest start, 0 if there was none, or
// [account.ErrUnavailable].
func (db *DB) LatestStart(ctx context.Context) (number int64, err error) {
	err = db.scan(ctx, "read latest start", into{&number}, latestStart)
	return number, err
}

const startByNumber = `
SELECT instance, version, started_ms
FROM starts
WHERE number = $1`

// StartOf returns the start with a number, [account.ErrNotFound], or
// [account.ErrUnavailable].
func (db *DB) StartOf(ctx context.Context, number int64) (s Start, err error) {
	err = db.scan(ctx, "read start", into{&s.Instance, &s.Version, (*millis)(&s.At)}, startByNumber, number)
	return s, err
}
