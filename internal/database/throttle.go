package database

import (
	"context"
	"time"

	"holdfast/internal/throttle"
)

// tries implements throttle's store.
type tries struct{ db *DB }

// Tries returns the store of counted attempts.
func (db *DB) Tries() throttle.Store { return tries{db} }

const triesOf = `
SELECT COALESCE(t.tries, 0), t.next_ms, t.last_ms, NOW_MS
FROM (SELECT 1) AS always
LEFT JOIN throttle t ON t.key = $1`

// Find implements [throttle.Store].
func (s tries) Find(ctx context.Context, key string) (found throttle.State, now time.Time, err error) {
	columns := into{&found.Tries, (*millis)(&found.Next), (*millis)(&found.Last), (*millis)(&now)}
	err = s.db.scan(ctx, "read attempts", columns, triesOf, key)
	return found, now, err
}

const firstTry = `
INSERT INTO throttle (key, tries, next_ms, last_ms)
VALUES ($1, $2, $3, $4)
ON CONFLICT (key) DO NOTHING`

const nextTry = `
UPDATE throttle
SET tries = $2, next_ms = $3, last_ms = $4
WHERE key = $1
  AND tries = $5
  AND next_ms = $6
  AND last_ms = $7`

const lastTry = `
DELETE FROM throttle
WHERE key = $1
  AND tries = $2
  AND next_ms = $3
  AND last_ms = $4`

// Swap implements [throttle.Store].
func (s tries) Swap(ctx context.Context, key string, found, next throttle.State) (bool, error) {
	was, is := stateColumns(found), stateColumns(next)
	query, args := nextTry, append(append([]any{key}, is...), was...)
	switch {
	case next.Tries == 0:
		query, args = lastTry, append([]any{key}, was...)
	case found.Tries == 0:
		query, args = firstTry, append([]any{key}, is...)
	}
	swapped, err := s.db.exec(ctx, "count attempt", query, args...)
	return swapped == 1, err
}

func stateColumns(s throttle.State) []any {
	return []any{s.Tries, s.Next.UnixMilli(), s.Last.UnixMilli()}
}

const forgetTries = `
DELETE FROM throttle
WHERE key = $1`

// Remove implements [throttle.Store].
func (s tries) Remove(ctx context.Context, key string) error {
	_, err := s.db.exec(ctx, "delete attempts", forgetTries, key)
	return err
}
