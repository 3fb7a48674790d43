package database

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/session"
)

// devices is session's list of devices. NOW_MS in its statements is the
// database's clock: it judges all ages, so that servers whose clocks differ
// agree. STAMP_MS is that clock, too, but never before the floor that
// [devices.Clock] has returned: it stamps what ends.
type devices struct{ db *DB }

var _ session.DeviceStore = devices{}

// Devices returns the list of devices.
func (db *DB) Devices() session.DeviceStore { return devices{db} }

// The database's clock in Unix milliseconds, at the time the statement runs: in
// PostgreSQL now() would be the time its transaction began.
const (
	postgresNowMS = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`
	sqliteNowMS   = `CAST(unixepoch('subsec') * 1000 AS INTEGER)`

	postgresStampMS = `GREATEST(NOW_MS, (SELECT floor_ms FROM clock))`
	sqliteStampMS   = `MAX(NOW_MS, (SELECT floor_ms FROM clock))`
)

func (d devices) statement(text string) string {
	text = strings.ReplaceAll(text, "STAMP_MS", d.db.stampMS)
	return strings.ReplaceAll(text, "NOW_MS", d.db.nowMS)
}

// maxNamedAtOnce bounds the placeholders of one statement.
const maxNamedAtOnce = 500

const deviceColumns = `id, person_id, session_key, user_agent, address, remembered, created_ms, deadline_ms, ended_ms, ended_how`

// holdPerson takes the row of a person who may log in, and keeps it until the
// transaction ends: disabling them comes either before, and no log-in is
// stored, or after, and finds it.
const holdPerson = `
UPDATE people
SET disabled_ms = NULL
WHERE id = $1
  AND disabled_ms IS NULL`

const insertDevice = `
INSERT INTO devices (id, person_id, session_key, user_agent, address, remembered, created_ms, deadline_ms, confirmed)
VALUES ($1, $2, $3, $4, $5, $6, NOW_MS, NOW_MS + $7, FALSE)`

// Insert implements [session.DeviceStore].
func (d devices) Insert(ctx context.Context, e session.Device) error {
	ctx, cancel, failed := d.db.bounded(ctx, "insert device")
	defer cancel()
	tx, err := d.db.sql.BeginTx(ctx, nil)
	if err != nil {
		return failed(err)
	}
	defer tx.Rollback()
	held, err := affected(tx.ExecContext(ctx, holdPerson, e.PersonID))
	if err != nil {
		return failed(err)
	}
	if held == 0 {
		return session.ErrEnded
	}
	_, err = tx.ExecContext(ctx, d.statement(insertDevice),
		e.ID, e.PersonID, e.SessionKey, e.UserAgent, e.Address, e.Remembered, e.ExpiresAt.Sub(e.CreatedAt).Milliseconds())
	if err != nil {
		return failed(err)
	}
	return failed(tx.Commit())
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

// Confirm implements [session.DeviceStore]. The name is read when the device is
// seen to be confirmed, not in the same statement: whoever changes the name
// before that is read here, and whoever does so after it finds the device among
// those that are to have it. One statement would see the name of its beginning
// and be seen at its end.
func (d devices) Confirm(ctx context.Context, id string) (name string, err error) {
	ctx, cancel, failed := d.db.bounded(ctx, "confirm device")
	defer cancel()
	var person string
	err = d.db.sql.QueryRowContext(ctx, confirmDevice, id).Scan(&person)
	if err == nil {
		err = d.db.sql.QueryRowContext(ctx, nameOfPerson, person).Scan(&name)
	}
	if errors.Is(err, sql.ErrNoRows) { // ended, or its person deleted
		return "", session.ErrEnded
	}
	return name, failed(err)
}

// NameOf implements [session.DeviceStore].
func (d devices) NameOf(ctx context.Context, person string) (name string, err error) {
	ctx, cancel, failed := d.db.bounded(ctx, "read name of person")
	defer cancel()
	err = d.db.sql.QueryRowContext(ctx, nameOfPerson, person).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return "", session.ErrEnded
	}
	return name, failed(err)
}

const findDevice = `
SELECT ` + deviceColumns + `
FROM devices
WHERE person_id = $1
  AND id = $2`

// Find implements [session.DeviceStore].
func (d devices) Find(ctx context.Context, person, id string) (session.Device, error) {
	ctx, cancel, failed := d.db.bounded(ctx, "read device")
	defer cancel()
	e, err := scanDevice(d.db.sql.QueryRowContext(ctx, findDevice, person, id))
	if errors.Is(err, sql.ErrNoRows) {
		return session.Device{}, session.ErrNoDevice
	}
	return e, failed(err)
}

const findDeviceByKey = `
SELECT ` + deviceColumns + `
FROM devices
WHERE session_key = $1`

// FindByKey implements [session.DeviceStore].
func (d devices) FindByKey(ctx context.Context, key string) (session.Device, error) {
	ctx, cancel, failed := d.db.bounded(ctx, "read device by key")
	defer cancel()
	e, err := scanDevice(d.db.sql.QueryRowContext(ctx, findDeviceByKey, key))
	if errors.Is(err, sql.ErrNoRows) {
		return session.Device{}, session.ErrNoDevice
	}
	return e, failed(err)
}

const liveDevices = `
SELECT ` + deviceColumns + `
FROM devices
WHERE ended_ms IS NULL
  AND confirmed
  AND person_id = $1
ORDER BY created_ms DESC, id
LIMIT $2`

// Live implements [session.DeviceStore].
func (d devices) Live(ctx context.Context, person string, limit int) ([]session.Device, error) {
	return d.many(ctx, "read live devices", liveDevices, person, limit)
}

const pastDevices = `
SELECT ` + deviceColumns + `
FROM devices
WHERE ended_ms IS NOT NULL
  AND ended_how <> 'renewal'
  AND confirmed
  AND person_id = $1
ORDER BY ended_ms DESC, id
LIMIT $2
OFFSET $3`

// Past implements [session.DeviceStore]. Rows that earlier releases marked as
// renewed are no ends of a session.
func (d devices) Past(ctx context.Context, person string, offset, limit int) ([]session.Device, error) {
	return d.many(ctx, "read past devices", pastDevices, person, limit, offset)
}

const believableDevices = `
SELECT ` + deviceColumns + `
FROM devices
WHERE ` + couldLive + `
  AND person_id = $2
  AND id > $3
ORDER BY id
LIMIT $4`

// Believable implements [session.DeviceStore].
func (d devices) Believable(ctx context.Context, person, after string, limit int) ([]session.Device, error) {
	return d.many(ctx, "read devices of person", believableDevices, dayAgo(), person, after, limit)
}

const endDevices = `
UPDATE devices
SET ended_ms = STAMP_MS, ended_how = $1
WHERE ended_ms IS NULL
  AND session_key IN `

// expireAfter is how long a device may take from being inserted to being
// confirmed.
const expireAfter = time.Minute

const expireDevices = `
UPDATE devices
SET ended_ms = STAMP_MS, ended_how = $1
WHERE ended_ms IS NULL
  AND created_ms < NOW_MS - $2
  AND id IN `

// EndByKey implements [session.DeviceStore].
func (d devices) EndByKey(ctx context.Context, keys []string, why session.EndReason) error {
	return d.mark(ctx, keys, endDevices, string(why))
}

// Expire implements [session.DeviceStore].
func (d devices) Expire(ctx context.Context, ids []string) error {
	return d.mark(ctx, ids, expireDevices, string(session.EndedByTime), expireAfter.Milliseconds())
}

func (d devices) mark(ctx context.Context, named []string, statement string, fixed ...any) error {
	for len(named) > 0 {
		batch := named[:min(maxNamedAtOnce, len(named))]
		named = named[len(batch):]
		args := append([]any{}, fixed...)
		places := make([]string, len(batch))
		for i, name := range batch {
			args = append(args, name)
			places[i] = "$" + strconv.Itoa(len(args))
		}
		if _, err := d.exec(ctx, "end devices", statement+"("+strings.Join(places, ", ")+")", args...); err != nil {
			return err
		}
	}
	return nil
}

// endedPage is how many keys of ended devices are read in one statement: 900 kB
// of them.
const endedPage = 20_000

// One row for a page of keys, because a row for each costs more than all the
// rest. The index devices_ended_idx has every column.
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

// EndedSince implements [session.DeviceStore]. Each page is a call of its own
// with its own time limit, however many there are. The next one is read while
// yield works on the one before.
func (d devices) EndedSince(ctx context.Context, since time.Time, yield func(keys []string) error) error {
	pages := make(chan []string, 1)
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error {
		defer close(pages)
		return d.readEnded(ctx, since, pages)
	})
	both.Go(func() error {
		for keys := range pages {
			if err := yield(keys); err != nil {
				return err
			}
		}
		return nil
	})
	return both.Wait()
}

// readEnded sends the keys to pages until ctx ends.
func (d devices) readEnded(ctx context.Context, since time.Time, pages chan<- []string) error {
	ended, id := since.UnixMilli()-1, "~" // after every id of that millisecond
	for {
		keys, err := d.endedPage(ctx, &ended, &id)
		if err == nil && len(keys) == 0 {
			break
		}
		if err == nil {
			err = send(ctx, pages, keys)
		}
		if err != nil {
			return err
		}
	}
	keys, err := revocations(d).since(ctx, since)
	if err != nil || len(keys) == 0 {
		return err
	}
	return send(ctx, pages, keys)
}

func send(ctx context.Context, pages chan<- []string, keys []string) error {
	select {
	case pages <- keys:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// endedPage returns the keys after ended and id, and moves these on.
func (d devices) endedPage(ctx context.Context, ended *int64, id *string) ([]string, error) {
	ctx, cancel, failed := d.db.bounded(ctx, "read ended devices")
	defer cancel()
	var keys string
	err := d.db.sql.QueryRowContext(ctx, d.statement(endedSince), dayAgo(), *ended, *id, d.db.pageOf(endedPage)).Scan(ended, id, &keys)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, failed(err)
	}
	return strings.Fields(keys), nil
}

// takeTurn is won by one server a day.
const takeTurn = `
UPDATE jobs
SET ran_ms = NOW_MS
WHERE name = $1
  AND ran_ms <= NOW_MS - $2`

// forgetDevices keeps what could still be believed in a store that is restored
// from older data, however long ago it ended.
const forgetDevices = `
DELETE FROM devices
WHERE id IN (
  SELECT id
  FROM devices
  WHERE NOT ` + couldLive + `
    AND (ended_ms < NOW_MS - $2 OR deadline_ms < NOW_MS - $2)
  LIMIT $3)`

// forgottenAtOnce is how many devices one statement removes, within its limit of
// time also after years.
const forgottenAtOnce = 10_000

// Forget implements [session.DeviceStore]. While the lifetime of an ended one
// has not passed, a store restored from older data may hold its session.
func (d devices) Forget(ctx context.Context, age time.Duration) error {
	won, err := d.exec(ctx, "take a turn", takeTurn, "forget devices", (24 * time.Hour).Milliseconds())
	if err != nil || won == 0 {
		return err
	}
	atOnce := d.db.pageOf(forgottenAtOnce)
	for {
		n, err := d.exec(ctx, "forget old devices", forgetDevices, dayAgo(), age.Milliseconds(), atOnce)
		if err != nil || n < atOnce {
			return err
		}
	}
}

func (d devices) exec(ctx context.Context, doing, statement string, args ...any) (rows int, err error) {
	ctx, cancel, failed := d.db.bounded(ctx, doing)
	defer cancel()
	n, err := affected(d.db.sql.ExecContext(ctx, d.statement(statement), args...))
	return int(n), failed(err)
}

func (d devices) many(ctx context.Context, doing, query string, args ...any) ([]session.Device, error) {
	ctx, cancel, failed := d.db.bounded(ctx, doing)
	defer cancel()
	rows, err := d.db.sql.QueryContext(ctx, d.statement(query), args...)
	if err != nil {
		return nil, failed(err)
	}
	defer rows.Close()
	var all []session.Device
	for rows.Next() {
		e, err := scanDevice(rows)
		if err != nil {
			return nil, failed(err)
		}
		all = append(all, e)
	}
	return all, failed(rows.Err())
}

func scanDevice(row interface{ Scan(...any) error }) (session.Device, error) {
	var e session.Device
	var created, deadline int64
	var ended sql.NullInt64
	var how sql.NullString
	err := row.Scan(&e.ID, &e.PersonID, &e.SessionKey, &e.UserAgent, &e.Address, &e.Remembered, &created, &deadline, &ended, &how)
	if err != nil {
		return session.Device{}, err
	}
	e.CreatedAt, e.ExpiresAt = time.UnixMilli(created).UTC(), time.UnixMilli(deadline).UTC()
	if ended.Valid {
		e.EndedAt, e.EndReason = time.UnixMilli(ended.Int64).UTC(), session.EndReason(how.String)
	}
	return e, nil
}
