package database

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/fault"
	"holdfast/internal/session"
)

// devices implements session's list of devices.
type devices struct{ db *DB }

// Devices returns the list of devices.
func (db *DB) Devices() session.DeviceStore { return devices{db} }

const insertDevice = `
INSERT INTO devices (id, person_id, session_key, user_agent, address, remembered, created_ms, deadline_ms, confirmed)
SELECT $1, $2, $3, $4, $5, $6, now_ms, now_ms + $7, FALSE
` + fromNow

// Insert implements [session.DeviceStore].
func (d devices) Insert(ctx context.Context, e session.Device) error {
	err := d.db.transaction(ctx, "insert device", func(t *tx) {
		if disabled := t.lockPerson(e.PersonID); disabled {
			t.fail(session.ErrEnded)
		}
		t.exec(insertDevice, e.ID, e.PersonID, e.SessionKey, e.UserAgent, e.Address, e.Remembered, e.ExpiresAt.Sub(e.CreatedAt).Milliseconds())
	})
	return missing(err, session.ErrEnded)
}

const confirmDevice = `
UPDATE devices
SET confirmed = TRUE
WHERE id = $1
  AND ended_ms IS NULL
RETURNING person_id`

const nameOfPerson = `
SELECT name
FROM people
WHERE id = $1`

// Confirm implements [session.DeviceStore]. It reads the name after confirming the
// device, in a second statement: a rename before that is read here, and a rename after
// it finds the device among those to update. One statement would read the name as of
// its start, but be visible only from its end.
func (d devices) Confirm(ctx context.Context, id string) (name string, err error) {
	var person string
	if err := d.db.scan(ctx, "confirm device", into{&person}, confirmDevice, id); err != nil {
		return "", missing(err, session.ErrEnded)
	}
	return d.NameOf(ctx, person)
}

// NameOf implements [session.DeviceStore].
func (d devices) NameOf(ctx context.Context, person string) (name string, err error) {
	err = d.db.scan(ctx, "read name of person", into{&name}, nameOfPerson, person)
	return name, missing(err, session.ErrEnded)
}

const selectDevices = `
SELECT id, person_id, session_key, user_agent, address, remembered, created_ms, deadline_ms, ended_ms, COALESCE(ended_how, '')
FROM devices
`

func deviceInto(d *session.Device) into {
	return into{
		&d.ID, &d.PersonID, &d.SessionKey, &d.UserAgent, &d.Address, &d.Remembered,
		(*millis)(&d.CreatedAt), (*millis)(&d.ExpiresAt), (*millis)(&d.RevokedAt), &d.RevokeReason,
	}
}

const findDevice = selectDevices + `WHERE person_id = $1
  AND id = $2`

// Find implements [session.DeviceStore].
func (d devices) Find(ctx context.Context, person, id string) (found session.Device, err error) {
	err = d.db.scan(ctx, "read device", deviceInto(&found), findDevice, person, id)
	return found, missing(err, session.ErrNoDevice)
}

// A revocation without a device belongs to a deleted account.
const findDeviceByKey = selectDevices + `WHERE session_key = $1
UNION ALL
SELECT '', '', session_key, '', '', FALSE, ended_ms, deadline_ms, ended_ms, CAST($2 AS TEXT)
FROM revocations
WHERE session_key = $1
  AND NOT EXISTS (SELECT 1 FROM devices WHERE session_key = $1)`

// FindByKey implements [session.DeviceStore].
func (d devices) FindByKey(ctx context.Context, key string) (found session.Device, err error) {
	err = d.db.scan(ctx, "read device by key", deviceInto(&found), findDeviceByKey, key, string(session.RevokedByDeletion))
	return found, missing(err, session.ErrNoDevice)
}

const liveDevices = selectDevices + `WHERE ended_ms IS NULL
  AND confirmed
  AND person_id = $1
ORDER BY created_ms DESC, id
LIMIT $2`

// Live implements [session.DeviceStore].
func (d devices) Live(ctx context.Context, person string, limit int) ([]session.Device, error) {
	return list(ctx, d.db, "read live devices", deviceInto, liveDevices, person, limit)
}

const pastDevices = selectDevices + `WHERE ended_ms IS NOT NULL
  AND ended_how <> 'renewal'
  AND confirmed
  AND person_id = $1
  AND ended_ms <= $4
  AND (ended_ms < $4 OR id > $5)
ORDER BY ended_ms DESC, id
LIMIT $2
OFFSET $3`

// Past implements [session.DeviceStore]. A row that an earlier release marked as
// renewed is not the end of a session.
func (d devices) Past(ctx context.Context, person string, before session.Device, offset, limit int) ([]session.Device, error) {
	return list(ctx, d.db, "read past devices", deviceInto, pastDevices, person, limit, offset, placeBefore(before.RevokedAt), before.ID)
}

const unexpiredDevices = selectDevices + `WHERE ` + couldLive + `
  AND person_id = $2
  AND id > $3
ORDER BY id
LIMIT $4`

// ListUnexpired implements [session.DeviceStore].
func (d devices) ListUnexpired(ctx context.Context, person, after string, limit int) ([]session.Device, error) {
	return list(ctx, d.db, "read devices of person", deviceInto, unexpiredDevices, dayAgo(), person, after, limit)
}

const endDevices = `
UPDATE devices
SET ended_ms = STAMP_MS, ended_how = $1
WHERE ended_ms IS NULL
`

const endDevicesByKey = endDevices + `  AND session_key IN (SELECT value FROM JSON_TEXTS($2))`

// RevokeByKey implements [session.DeviceStore].
func (d devices) RevokeByKey(ctx context.Context, keys []string, why session.RevokeReason) error {
	return d.db.execEach(ctx, "revoke devices", endDevicesByKey, keys, string(why))
}

// expireAfter is how long a device may take from its insertion to its confirmation.
const expireAfter = time.Minute

const expireDevices = endDevices + `  AND created_ms < NOW_MS - $2
  AND id IN (SELECT value FROM JSON_TEXTS($3))`

// Expire implements [session.DeviceStore].
func (d devices) Expire(ctx context.Context, ids []string) error {
	return d.db.execEach(ctx, "expire devices", expireDevices, ids, string(session.RevokedByTime), expireAfter.Milliseconds())
}

// namedAtOnce is how many rows one statement finds by name.
const namedAtOnce = 500

// execEach runs a statement whose last parameter is a JSON array of names, for some of
// the names at a time.
func (db *DB) execEach(ctx context.Context, doing, query string, names []string, args ...any) error {
	for some := range slices.Chunk(names, namedAtOnce) {
		if _, err := db.exec(ctx, doing, query, append(args, jsonTexts(some))...); err != nil {
			return err
		}
	}
	return nil
}

// endedPage is how many keys of ended devices one statement reads: 900 kB of them.
const endedPage = 20_000

// One row per page of keys, because one per key costs more than everything else. The
// index devices_ended_idx has every column.
const endedSince = `
WITH page AS (
  SELECT ended_ms, id, session_key
  FROM devices
  WHERE ended_ms IS NOT NULL
    AND (ended_ms, id) > ($2, $3)
    AND ` + couldLive + `
  ORDER BY ended_ms, id
  LIMIT $4),
last AS (
  SELECT ended_ms, id
  FROM page
  ORDER BY ended_ms DESC, id DESC
  LIMIT 1)
SELECT last.ended_ms, last.id, (SELECT string_agg(session_key, ' ') FROM page)
FROM last`

// revokedSince finds the sessions that account changes have revoked. People who were
// deleted have no devices left.
const revokedSince = `
SELECT session_key
FROM revocations
WHERE ended_ms >= $2
  AND ` + couldLive

// RevokedSince implements [session.DeviceStore]. Each page is a separate call with its
// own time limit, however many there are. The next page is read while yield processes
// the one before.
func (d devices) RevokedSince(ctx context.Context, since time.Time, yield func(keys []string) error) error {
	yields, ctx := errgroup.WithContext(ctx)
	yields.SetLimit(1) // Go waits for the page before
	err := d.readEnded(ctx, since, func(keys []string) {
		yields.Go(func() error {
			if err := ctx.Err(); err != nil { // the page before has failed
				return err
			}
			return yield(keys)
		})
	})
	return cmp.Or(yields.Wait(), err)
}

// readEnded passes the keys to page until ctx is cancelled.
func (d devices) readEnded(ctx context.Context, since time.Time, page func(keys []string)) error {
	ended, id := since.UnixMilli()-1, "~" // sorts after every ID of that millisecond
	for {
		var keys string
		err := d.db.scan(ctx, "read ended devices", into{&ended, &id, &keys}, endedSince, dayAgo(), ended, id, cmp.Or(d.db.page, endedPage))
		if errors.Is(err, fault.ErrNotFound) {
			break
		}
		if err != nil {
			return err
		}
		page(strings.Fields(keys))
	}
	keys, err := list(ctx, d.db, "read revocations", single[string], revokedSince, dayAgo(), since.UnixMilli())
	if err == nil && len(keys) > 0 {
		page(keys)
	}
	return err
}

const claimJob = `
INSERT INTO jobs (name, ran_ms)
VALUES ($1, NOW_MS)
ON CONFLICT (name) DO UPDATE
SET ran_ms = EXCLUDED.ran_ms
WHERE jobs.ran_ms <= EXCLUDED.ran_ms - $2
   OR jobs.ran_ms > EXCLUDED.ran_ms + 60000`

// claimJob reports whether the caller must run a job: one instance must, until the time
// after has passed. A run that is more than a minute in the future, by a clock that has
// since gone back, does not count.
func (db *DB) claimJob(ctx context.Context, name string, after time.Duration) (bool, error) {
	claimed, err := db.exec(ctx, "claim job", claimJob, name, after.Milliseconds())
	return claimed > 0, err
}

// forgetDevices keeps devices whose sessions could still be trusted in a store that is
// restored from older data, however long ago they ended.
const forgetDevices = `
DELETE FROM devices
WHERE id IN (
  SELECT id
  FROM devices
  WHERE NOT ` + couldLive + `
    AND (ended_ms < NOW_MS - $2 OR deadline_ms < NOW_MS - $2)
  LIMIT $3)`

// Forget implements [session.DeviceStore]. Until the lifetime of an ended device has
// passed, a store restored from older data may hold its session.
func (d devices) Forget(ctx context.Context, age time.Duration) error {
	claimed, err := d.db.claimJob(ctx, "forget devices", 24*time.Hour)
	if err != nil || !claimed {
		return err
	}
	return d.db.deleteInBatches(ctx, "delete old devices", forgetDevices, dayAgo(), age.Milliseconds())
}
