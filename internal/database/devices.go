package database

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/session"
)

// devices is session's ledger.
type devices struct{ db *DB }

var _ session.Ledger = devices{}

// Devices returns the ledger of log-ins.
func (db *DB) Devices() session.Ledger { return devices{db} }

// maxIDsAtOnce bounds the placeholders of one statement.
const maxIDsAtOnce = 500

const deviceColumns = `id, person_id, session_key, user_agent, address, remembered, created_ms, deadline_ms, ended_ms, ended_how`

// holdPerson takes the row of a person who may log in, and keeps it until the
// transaction ends: disabling them comes either before, and no log-in is
// written, or after, and finds it.
const holdPerson = `
UPDATE people
SET disabled_ms = NULL
WHERE id = $1
  AND disabled_ms IS NULL`

const insertDevice = `
INSERT INTO devices (id, person_id, session_key, user_agent, address, remembered, created_ms, deadline_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

// Open implements [session.Ledger].
func (d devices) Open(ctx context.Context, e session.Entry) error {
	ctx, cancel, failed := d.db.bounded(ctx, "write log-in down")
	defer cancel()
	tx, err := d.db.sql.BeginTx(ctx, nil)
	if err != nil {
		return failed(err)
	}
	defer tx.Rollback()
	held, err := affected(tx.ExecContext(ctx, holdPerson, e.Person))
	if err != nil {
		return failed(err)
	}
	if held == 0 {
		return session.ErrEnded
	}
	_, err = tx.ExecContext(ctx, insertDevice,
		e.ID, e.Person, e.Key, e.UserAgent, e.Address, e.Remembered, e.Created.UnixMilli(), e.Deadline.UnixMilli())
	if err != nil {
		return failed(err)
	}
	return failed(tx.Commit())
}

const deviceStands = `
SELECT count(*)
FROM devices
WHERE id = $1
  AND ended_ms IS NULL`

// Standing implements [session.Ledger].
func (d devices) Standing(ctx context.Context, id string) (bool, error) {
	ctx, cancel, failed := d.db.bounded(ctx, "look for log-in")
	defer cancel()
	var standing int
	err := d.db.sql.QueryRowContext(ctx, deviceStands, id).Scan(&standing)
	return standing == 1, failed(err)
}

const deviceOfPerson = `
SELECT ` + deviceColumns + `
FROM devices
WHERE person_id = $1
  AND id = $2`

// Find implements [session.Ledger].
func (d devices) Find(ctx context.Context, person, id string) (session.Entry, error) {
	ctx, cancel, failed := d.db.bounded(ctx, "read log-in")
	defer cancel()
	e, err := scanDevice(d.db.sql.QueryRowContext(ctx, deviceOfPerson, person, id))
	if errors.Is(err, sql.ErrNoRows) {
		return session.Entry{}, session.ErrNoDevice
	}
	return e, failed(err)
}

const liveDevicesOfPerson = `
SELECT ` + deviceColumns + `
FROM devices
WHERE ended_ms IS NULL
  AND deadline_ms > $1
  AND person_id = $2
ORDER BY created_ms DESC, id
LIMIT $3`

const liveDevicesOfAll = `
SELECT ` + deviceColumns + `
FROM devices
WHERE ended_ms IS NULL
  AND deadline_ms > $1
ORDER BY created_ms DESC, id
LIMIT $2`

// Live implements [session.Ledger].
func (d devices) Live(ctx context.Context, person string, now time.Time, limit int) ([]session.Entry, error) {
	if person == "" {
		return d.many(ctx, "read live log-ins", liveDevicesOfAll, now.UnixMilli(), limit)
	}
	return d.many(ctx, "read live log-ins of person", liveDevicesOfPerson, now.UnixMilli(), person, limit)
}

const pastDevices = `
SELECT ` + deviceColumns + `
FROM devices
WHERE ended_ms IS NOT NULL
  AND ended_how <> $1
  AND person_id = $2
ORDER BY ended_ms DESC, id
LIMIT $3
OFFSET $4`

// Past implements [session.Ledger].
func (d devices) Past(ctx context.Context, person string, offset, limit int) ([]session.Entry, error) {
	return d.many(ctx, "read past log-ins of person", pastDevices, string(session.EndedByRenewal), person, limit, offset)
}

const endDevices = `
UPDATE devices
SET ended_ms = $1, ended_how = $2
WHERE ended_ms IS NULL
  AND id IN `

// End implements [session.Ledger].
func (d devices) End(ctx context.Context, ids []string, how session.Ending, at time.Time) error {
	for len(ids) > 0 {
		batch := ids[:min(maxIDsAtOnce, len(ids))]
		ids = ids[len(batch):]
		if err := d.endBatch(ctx, batch, how, at); err != nil {
			return err
		}
	}
	return nil
}

func (d devices) endBatch(ctx context.Context, ids []string, how session.Ending, at time.Time) error {
	ctx, cancel, failed := d.db.bounded(ctx, "end log-ins")
	defer cancel()
	args := []any{at.UnixMilli(), string(how)}
	places := make([]string, len(ids))
	for i, id := range ids {
		args = append(args, id)
		places[i] = "$" + strconv.Itoa(len(args))
	}
	_, err := d.db.sql.ExecContext(ctx, endDevices+"("+strings.Join(places, ", ")+")", args...)
	return failed(err)
}

const keysEndedSince = `
SELECT session_key
FROM devices
WHERE ended_ms >= $1
  AND deadline_ms > $2
UNION
SELECT session_key
FROM revocations
WHERE ended_ms >= $1
  AND deadline_ms > $2`

// EndedSince implements [session.Ledger].
func (d devices) EndedSince(ctx context.Context, since, now time.Time) ([]string, error) {
	ctx, cancel, failed := d.db.bounded(ctx, "read log-ins that ended lately")
	defer cancel()
	rows, err := d.db.sql.QueryContext(ctx, keysEndedSince, since.UnixMilli(), now.UnixMilli())
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

const forgetDevices = `
DELETE FROM devices
WHERE ended_ms < $1
   OR deadline_ms < $1`

// Forget implements [session.Ledger].
func (d devices) Forget(ctx context.Context, before time.Time) error {
	ctx, cancel, failed := d.db.bounded(ctx, "forget old log-ins")
	defer cancel()
	_, err := d.db.sql.ExecContext(ctx, forgetDevices, before.UnixMilli())
	return failed(err)
}

func (d devices) many(ctx context.Context, doing, query string, args ...any) ([]session.Entry, error) {
	ctx, cancel, failed := d.db.bounded(ctx, doing)
	defer cancel()
	rows, err := d.db.sql.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, failed(err)
	}
	defer rows.Close()
	var entries []session.Entry
	for rows.Next() {
		e, err := scanDevice(rows)
		if err != nil {
			return nil, failed(err)
		}
		entries = append(entries, e)
	}
	return entries, failed(rows.Err())
}

func scanDevice(row interface{ Scan(...any) error }) (session.Entry, error) {
	var e session.Entry
	var created, deadline int64
	var ended sql.NullInt64
	var how sql.NullString
	err := row.Scan(&e.ID, &e.Person, &e.Key, &e.UserAgent, &e.Address, &e.Remembered, &created, &deadline, &ended, &how)
	if err != nil {
		return session.Entry{}, err
	}
	e.Created, e.Deadline = time.UnixMilli(created).UTC(), time.UnixMilli(deadline).UTC()
	if ended.Valid {
		e.Ended, e.How = time.UnixMilli(ended.Int64).UTC(), session.Ending(how.String)
	}
	return e, nil
}
