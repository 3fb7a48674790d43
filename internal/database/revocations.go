package database

import (
	"context"
	"time"

	"holdfast/internal/session"
)

// revocations is session's list of what the store has to let go of.
type revocations struct{ db *DB }

var _ session.Revocations = revocations{}

// Revocations returns the sessions that a change of an account has ended.
func (db *DB) Revocations() session.Revocations { return revocations{db} }

const waitingRevocations = `
SELECT session_key
FROM revocations
WHERE removed_ms IS NULL
ORDER BY ended_ms
LIMIT $1`

// Waiting implements [session.Revocations].
func (r revocations) Waiting(ctx context.Context, limit int) ([]string, error) {
	ctx, cancel, failed := r.db.bounded(ctx, "read ended sessions")
	defer cancel()
	rows, err := r.db.sql.QueryContext(ctx, waitingRevocations, limit)
	if err != nil {
		return nil, failed(err)
	}
	defer rows.Close()
	var keys []string
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return nil, failed(err)
		}
		keys = append(keys, key)
	}
	return keys, failed(rows.Err())
}

const revokedSince = `
SELECT session_key
FROM revocations
WHERE ended_ms >= $1
  AND deadline_ms > NOW_MS`

// since returns the keys of sessions that changes of accounts have ended since a
// time: of people who were deleted, no device is left to tell.
func (r revocations) since(ctx context.Context, since time.Time) ([]string, error) {
	ctx, cancel, failed := r.db.bounded(ctx, "read ended sessions")
	defer cancel()
	rows, err := r.db.sql.QueryContext(ctx, devices(r).statement(revokedSince), since.UnixMilli())
	if err != nil {
		return nil, failed(err)
	}
	defer rows.Close()
	var keys []string
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return nil, failed(err)
		}
		keys = append(keys, key)
	}
	return keys, failed(rows.Err())
}

const revocationRemoved = `
UPDATE revocations
SET removed_ms = $2
WHERE session_key = $1
  AND removed_ms IS NULL`

// Removed implements [session.Revocations].
func (r revocations) Removed(ctx context.Context, key string, at time.Time) error {
	ctx, cancel, failed := r.db.bounded(ctx, "note ended session")
	defer cancel()
	_, err := r.db.sql.ExecContext(ctx, revocationRemoved, key, at.UnixMilli())
	return failed(err)
}
