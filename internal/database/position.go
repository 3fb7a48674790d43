package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/fault"
	"holdfast/internal/session"
)

// Position is how far the data in the database has progressed. It only increases,
// unless older data replaces the database: a backup, or a replica that lagged.
type Position struct {
	origin   int64  // when the first server started, which identifies the database
	at       int64  // advanced by AdvancePosition
	timeline string // of PostgreSQL: a promoted replica begins another; "" if unknown
}

// String returns the position as text for [Position.Lost].
func (p Position) String() string {
	return strings.TrimSpace(fmt.Sprintf("%d %d %s", p.origin, p.at, p.timeline))
}

// Lost reports whether p, read later than seen, shows that the database lost data in
// between. It returns false if seen is empty or from another database.
func (p Position) Lost(seen string) bool {
	was := append(strings.Fields(seen), "", "")
	at, err := strconv.ParseInt(was[1], 10, 64)
	if err != nil || was[0] != strconv.FormatInt(p.origin, 10) {
		return false
	}
	return p.at < at || p.timeline != "" && was[2] != "" && p.timeline != was[2]
}

// A restore creates the constraints last, when all tables have their rows.
const restoredAndWritable = `
SELECT count(*)
FROM pg_constraint
WHERE conrelid = to_regclass('devices')
  AND contype = 'f'
  AND NOT pg_is_in_recovery()`

const readTimeline = `SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)`

const readPosition = `
SELECT COALESCE((SELECT started_ms FROM starts WHERE number = 1), 0),
       COALESCE((SELECT ran_ms FROM jobs WHERE name = 'advance position'), 0)`

// Position returns the current position. Errors: [account.ErrUnavailable], also for a
// replica, and while PostgreSQL is being restored.
func (db *DB) Position(ctx context.Context) (p Position, err error) {
	if db.pool != nil {
		var ready int
		if err = db.scan(ctx, "read constraints", into{&ready}, restoredAndWritable); err == nil && ready == 0 {
			err = fmt.Errorf("read position: %w: a replica, or not restored yet", fault.ErrUnavailable)
		}
		if err != nil {
			return p, err
		}
		// Some hosted databases do not provide it.
		if err = db.scan(ctx, "read timeline", into{&p.timeline}, readTimeline); errors.Is(err, fault.ErrUnavailable) {
			return p, err
		}
	}
	return p, db.scan(ctx, "read position", into{&p.origin, &p.at}, readPosition)
}

const advancePosition = `
INSERT INTO jobs (name, ran_ms)
VALUES ('advance position', NOW_MS)
ON CONFLICT (name) DO UPDATE
SET ran_ms = CASE WHEN EXCLUDED.ran_ms > jobs.ran_ms THEN EXCLUDED.ran_ms ELSE jobs.ran_ms + 1 END
WHERE jobs.ran_ms = $1
RETURNING ran_ms`

// AdvancePosition advances from a position, and returns the next one. Errors:
// [account.ErrNotFound] if the database is no longer at that position,
// [account.ErrUnavailable].
func (db *DB) AdvancePosition(ctx context.Context, from Position) (Position, error) {
	err := db.scan(ctx, "advance position", into{&from.at}, advancePosition, from.at)
	return from, err
}

// ClaimReconciling reports whether the caller must reconcile the sessions: one instance
// must, until the time after has passed. While it works, that instance passes 0 to
// claim again immediately.
func (db *DB) ClaimReconciling(ctx context.Context, after time.Duration) (bool, error) {
	return db.claimJob(ctx, "reconcile sessions", after)
}

const withoutDevice = `
SELECT value
FROM JSON_TEXTS($1)
WHERE NOT EXISTS (
  SELECT 1
  FROM devices
  WHERE session_key = value
    AND (confirmed OR ended_ms IS NOT NULL))`

// Unlisted implements [session.DeviceStore].
func (d devices) Unlisted(ctx context.Context, keys []string) ([]string, error) {
	return list(ctx, d.db, "find sessions without device", single[string], withoutDevice, jsonTexts(keys))
}

const restoreDevice = `
INSERT INTO devices (id, person_id, session_key, user_agent, address, remembered, created_ms, deadline_ms, confirmed)
SELECT $1, $2, $3, '', '', $4, now_ms - $5, now_ms + $6, TRUE
` + fromNow + `WHERE TRUE
ON CONFLICT DO NOTHING`

const revokeUnlisted = `
INSERT INTO revocations (session_key, ended_ms, deadline_ms)
VALUES ($1, STAMP_MS, NOW_MS + $2)
ON CONFLICT (session_key) DO NOTHING`

// Restore implements [session.DeviceStore].
func (d devices) Restore(ctx context.Context, e session.Device, now time.Time) error {
	var refused bool
	err := d.db.transaction(ctx, "restore device", func(t *tx) {
		disabled := t.lockPerson(e.PersonID)
		if refused = disabled || errors.Is(t.err, sql.ErrNoRows); refused {
			t.err = nil
			t.exec(revokeUnlisted, e.SessionKey, e.ExpiresAt.Sub(now).Milliseconds())
			return
		}
		t.exec(restoreDevice, e.ID, e.PersonID, e.SessionKey, e.Remembered, now.Sub(e.CreatedAt).Milliseconds(), e.ExpiresAt.Sub(now).Milliseconds())
		t.exec(confirmDevice, e.ID) // if the device existed, but unconfirmed
	})
	if err == nil && refused {
		return session.ErrEnded
	}
	return err
}
