package database

import (
	"cmp"
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

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

const revocationsRemoved = `
UPDATE revocations
SET removed_ms = NOW_MS
WHERE removed_ms IS NULL
  AND session_key IN (SELECT value FROM JSON_TEXTS($1))`

// Removed implements [session.Revocations].
func (r revocations) Removed(ctx context.Context, keys []string) error {
	return r.db.execEach(ctx, "record removed sessions", revocationsRemoved, keys)
}

// The clock is read once per page, which costs less than once per row.
const endPage = `
UPDATE devices
SET ended_ms = (SELECT STAMP_MS), ended_how = $1
WHERE ended_ms IS NULL
  AND `

// reportEvery is after how many marked devices RevokeAll reports progress.
const reportEvery = 10_000

// RevokeAll implements [session.DeviceStore]. It marks several pages at a time, each in
// a separate statement with its own time limit.
func (d devices) RevokeAll(ctx context.Context, why session.RevokeReason, progress func(marked int)) error {
	at := d.db.places
	var end int64
	if err := d.db.scan(ctx, "read devices", into{&end}, at.end); err != nil {
		return err
	}
	every := cmp.Or(d.db.page, reportEvery)
	pages, ctx := errgroup.WithContext(ctx)
	pages.SetLimit(d.db.writers)
	var mu sync.Mutex
	marked := 0
	for first := int64(0); first < end; first += at.step {
		pages.Go(func() error {
			n, err := d.db.exec(ctx, "revoke devices", endPage+at.within, string(why), at.at(first), at.at(first+at.step))
			mu.Lock()
			defer mu.Unlock()
			if marked += int(n); marked/every > (marked-int(n))/every {
				progress(marked)
			}
			return err
		})
	}
	return pages.Wait()
}
