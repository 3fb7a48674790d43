package database

import (
	"context"
	"database/sql"
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
	return r.keys(ctx, waitingRevocations, limit)
}

// The devices are the person's; of somebody who was deleted there are none left.
const waitingRevocationsOf = `
SELECT r.session_key
FROM devices d
JOIN revocations r ON r.session_key = d.session_key
WHERE d.person_id = $1
  AND r.removed_ms IS NULL`

// WaitingOf implements [session.Revocations].
func (r revocations) WaitingOf(ctx context.Context, person string) ([]string, error) {
	return r.keys(ctx, waitingRevocationsOf, person)
}

const revokedSince = `
SELECT session_key
FROM revocations
WHERE ended_ms >= $2
  AND ` + couldLive

// since returns the keys of sessions that changes of accounts have ended since a
// time: of people who were deleted, no device is left to tell.
func (r revocations) since(ctx context.Context, since time.Time) ([]string, error) {
	return r.keys(ctx, devices(r).statement(revokedSince), dayAgo(), since.UnixMilli())
}

const revocationsRemoved = `
UPDATE revocations
SET removed_ms = NOW_MS
WHERE removed_ms IS NULL
  AND session_key IN `

// Removed implements [session.Revocations].
func (r revocations) Removed(ctx context.Context, keys []string) error {
	return devices(r).mark(ctx, keys, revocationsRemoved)
}

func (r revocations) keys(ctx context.Context, query string, args ...any) ([]string, error) {
	ctx, cancel, failed := r.db.bounded(ctx, "read ended sessions")
	defer cancel()
	rows, err := r.db.sql.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, failed(err)
	}
	keys, err := scanKeys(rows)
	return keys, failed(err)
}

// scanKeys reads rows of one text, and closes them.
func scanKeys(rows *sql.Rows) ([]string, error) {
	defer rows.Close()
	var keys []string
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, rows.Err()
}
