package database

import (
	"context"
	"errors"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/throttle"
)

// tries is throttle's store.
type tries struct{ db *DB }

var _ throttle.Store = tries{}

// Tries returns the store of tries that are counted.
func (db *DB) Tries() throttle.Store { return tries{db} }

const triesOf = `
SELECT tries, next_ms, last_ms
FROM throttle
WHERE key = $1`

// Find implements [throttle.Store].
func (s tries) Find(ctx context.Context, key string) (throttle.State, error) {
	ctx, cancel, failed := s.db.bounded(ctx, "read tries")
	defer cancel()
	var found throttle.State
	var next, last int64
	err := s.db.sql.QueryRowContext(ctx, triesOf, key).Scan(&found.Tries, &next, &last)
	if err = failed(err); errors.Is(err, account.ErrNotFound) {
		return throttle.State{}, nil
	}
	if err != nil {
		return throttle.State{}, err
	}
	found.Next, found.Last = time.UnixMilli(next).UTC(), time.UnixMilli(last).UTC()
	return found, nil
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
	ctx, cancel, failed := s.db.bounded(ctx, "count try")
	defer cancel()
	was, is := stateColumns(found), stateColumns(next)
	query, args := nextTry, append(append([]any{key}, is...), was...)
	switch {
	case next.Tries == 0:
		query, args = lastTry, append([]any{key}, was...)
	case found.Tries == 0:
		query, args = firstTry, append([]any{key}, is...)
	}
	swapped, err := affected(s.db.sql.ExecContext(ctx, query, args...))
	return swapped == 1, failed(err)
}

func stateColumns(s throttle.State) []any {
	return []any{s.Tries, s.Next.UnixMilli(), s.Last.UnixMilli()}
}

const forgetTries = `
DELETE FROM throttle
WHERE key = $1`

// Remove implements [throttle.Store].
func (s tries) Remove(ctx context.Context, key string) error {
	ctx, cancel, failed := s.db.bounded(ctx, "forget tries")
	defer cancel()
	_, err := s.db.sql.ExecContext(ctx, forgetTries, key)
	return failed(err)
}
