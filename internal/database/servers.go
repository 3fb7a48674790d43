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

// SessionStore says which session store the servers of this database use. The caller
// defines what the fields mean.
type SessionStore struct{ Kind, ID, Place string }

const recordSessionStore = `
INSERT INTO session_store (only_row, kind, id, place, recorded_ms)
VALUES (1, $1, $2, $3, $4)
ON CONFLICT (only_row) DO UPDATE
SET kind = EXCLUDED.kind, id = EXCLUDED.id, place = EXCLUDED.place, recorded_ms = EXCLUDED.recorded_ms`

// RecordSessionStore records the store of a server that starts, replacing any other.
// Recording it twice has no further effect. It returns [account.ErrUnavailable] if that
// could not be done in time.
func (db *DB) RecordSessionStore(ctx context.Context, s SessionStore) error {
	_, err := db.exec(ctx, "record session store", recordSessionStore,
		s.Kind, s.ID, s.Place, time.Now().UnixMilli())
	return err
}

const replaceSessionStore = `
UPDATE session_store
SET kind = $1, id = $2, place = $3, recorded_ms = $4
WHERE kind = $5
  AND id = $6
  AND place = $7`

// ReplaceSessionStore records the new name of a store, unless another one was recorded
// in the meantime. It returns [account.ErrUnavailable] if that could not be done in
// time.
func (db *DB) ReplaceSessionStore(ctx context.Context, before, now SessionStore) error {
	_, err := db.exec(ctx, "record session store", replaceSessionStore,
		now.Kind, now.ID, now.Place, time.Now().UnixMilli(), before.Kind, before.ID, before.Place)
	return err
}

const recordedSessionStore = `
SELECT kind, id, place
FROM session_store`

// RecordedSessionStore returns what was recorded last, or [account.ErrUnavailable]. If
// nothing was recorded yet, found is false.
func (db *DB) RecordedSessionStore(ctx context.Context) (s SessionStore, found bool, err error) {
	err = db.scan(ctx, "read session store", into{&s.Kind, &s.ID, &s.Place}, recordedSessionStore)
	return s, err == nil, missing(err, nil)
}
