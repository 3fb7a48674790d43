package database

import (
	"context"
	"time"

	"holdfast/internal/session"
)

// revocations implements session's list of sessions to remove from its store.
type revocations struct{ db *DB }

// Revocations returns the sessions that account changes have revoked.
func (db *DB) Revocations() session.Revocations { return revocations{db} }

const waitingRevocations = `
SELECT session_key
FROM revocations
WHERE removed_ms IS NULL
ORDER BY ended_ms
LIMIT $1`

// Waiting implements [session.Revocations].
func (r revocations) Waiting(ctx context.Context, limit int) ([]string, error) {
	return list(ctx, r.db, "read revocations", single[string], waitingRevocations, limit)
}

// The devices belong to the person; a deleted person has none left.
const waitingRevocationsOf = `
SELECT r.session_key
FROM devices d
JOIN revocations r ON r.session_key = d.session_key
WHERE d.person_id = $1
  AND r.removed_ms IS NULL`

// WaitingOf implements [session.Revocations].
func (r revocations) WaitingOf(ctx context.Context, person string) ([]string, error) {
	return list(ctx, r.db, "read revocations", single[string], waitingRevocationsOf, person)
}

const revokedSince = `
SELECT session_key
FROM revocations
WHERE ended_ms >= $2
  AND ` + couldLive

// since returns the keys of sessions that account changes have revoked since a time.
// People who were deleted have no devices left.
func (r revocations) since(ctx context.Context, since time.Time) ([]string, error) {
	return list(ctx, r.db, "read revocations", single[string], revokedSince, dayAgo(), since.UnixMilli())
}

const revocationsRemoved = `
UPDATE revocations
SET removed_ms = NOW_MS
WHERE removed_ms IS NULL
  AND session_key IN (SELECT value FROM JSON_TEXTS($1))`

// Removed implements [session.Revocations].
func (r revocations) Removed(ctx context.Context, keys []string) error {
	return r.db.execEach(ctx, "record removed sessions", revocationsRemoved, keys)
}
