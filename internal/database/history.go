package database

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/session"
)

// The lock makes an event wait for a concurrent deletion of the person, and then find
// no one. The check of the foreign key alone would fail.
const insertEvent = `
INSERT INTO history (id, person_id, event, at_ms, user_agent, address)
SELECT $1, id, $3, $4, $5, $6
FROM people
`
const insertEventByID = insertEvent + `WHERE id = $2
FOR KEY SHARE`
const insertEventByEmail = insertEvent + `WHERE email_key = $2
FOR KEY SHARE`

func (t *tx) insertEvent(query, owner string, e account.Event) {
	t.exec(query, e.ID, owner, string(e.Kind), e.At.UnixMilli(), e.From.UserAgent, e.From.Address)
}

const insertEmail = `
INSERT INTO outbox (id, kind, about, recipient, email_key, facts, created_ms, turn_ms)
SELECT $1, $2, $3, $4, $5, $6, now_ms, now_ms
` + fromNow

// audit writes events and emails.
func (t *tx) audit(a account.Audit) {
	for _, e := range a.Events {
		t.insertEvent(insertEventByID, e.Person, e)
	}
	for _, e := range a.Emails {
		data, err := json.Marshal(e.Data)
		if err != nil {
			t.fail(err)
		}
		key, _ := account.EmailKey(e.To) // "" if it is not an address
		t.exec(insertEmail, e.ID, string(e.Kind), e.Person, e.To, key, string(data))
	}
}

// Audit implements [account.Store].
func (p people) Audit(ctx context.Context, a account.Audit) error {
	return p.db.transaction(ctx, "write audit", func(t *tx) { t.audit(a) })
}

const beginWrite = `
INSERT INTO throttle (key, tries, next_ms, last_ms)
VALUES ($1, 1, 0, 0)`

// AuditByEmail implements [account.Store]. A transaction that has written waits for
// the disk, and one that has not does not, which would reveal who is registered. So
// every call writes a row and removes it.
func (p people) AuditByEmail(ctx context.Context, key string, e account.Event) error {
	return p.db.transaction(ctx, "write event", func(t *tx) {
		t.exec(beginWrite, e.ID)
		t.insertEvent(insertEventByEmail, key, e)
		t.exec(forgetTries, e.ID)
	})
}

// There is no request when a session expires, so no event is written. Its device shows
// the expiry: it is marked as expired, or has passed its deadline.
//
// Each half reads only the rows that the page may need, however long the history is.
const historyOfPerson = `
SELECT id, event, at_ms, user_agent, address
FROM (
  SELECT *
  FROM (
    SELECT id, event, at_ms, user_agent, address
    FROM history
    WHERE person_id = $1
      AND at_ms <= $6
      AND (at_ms < $6 OR id > $7)
    ORDER BY at_ms DESC, id
    LIMIT $8) AS recorded
  UNION ALL
  SELECT *
  FROM (
    SELECT id, event, at_ms, user_agent, address
    FROM (
      SELECT id, CAST($4 AS TEXT) AS event, CASE WHEN ended_ms < deadline_ms THEN ended_ms ELSE deadline_ms END AS at_ms, user_agent, address
      FROM devices
      WHERE person_id = $1
        AND confirmed
        AND (ended_how = $5 OR ended_ms IS NULL AND deadline_ms <= NOW_MS)) AS ended
    WHERE at_ms < $6 OR at_ms = $6 AND id > $7
    ORDER BY at_ms DESC, id
    LIMIT $8) AS expired) AS events
ORDER BY at_ms DESC, id
LIMIT $2
OFFSET $3`

// History implements [account.Store].
func (p people) History(ctx context.Context, person string, before account.Event, offset, limit int) ([]account.Event, error) {
	columns := func(e *account.Event) into {
		e.Person = person
		return into{&e.ID, &e.Kind, (*millis)(&e.At), &e.From.UserAgent, &e.From.Address}
	}
	return list(ctx, p.db, "read history", columns, historyOfPerson,
		person, limit, offset, string(account.EventSessionExpired), string(session.RevokedByTime), placeBefore(before.At), before.ID, offset+limit)
}

// placeBefore returns the position from which a list with the latest first continues
// before t. The zero time is its beginning.
func placeBefore(t time.Time) int64 {
	if t.IsZero() {
		return math.MaxInt64
	}
	return t.UnixMilli()
}

const passwordSet = `
SELECT MAX(at_ms)
FROM history
WHERE person_id = $1
  AND event IN ('password_changed', 'password_reset')`

// PasswordSet implements [account.Store].
func (p people) PasswordSet(ctx context.Context, person string) (at time.Time, err error) {
	err = p.db.scan(ctx, "read when the password was set", into{(*millis)(&at)}, passwordSet, person)
	return at, err
}

const browsersOfPerson = `
SELECT created_ms, used_ms
FROM browsers
WHERE person_id = $1
ORDER BY used_ms DESC, hash`

// Browsers implements [account.Store].
func (p people) Browsers(ctx context.Context, person string) ([]account.Browser, error) {
	return list(ctx, p.db, "read browsers", func(b *account.Browser) into { return into{(*millis)(&b.Known), (*millis)(&b.Used)} }, browsersOfPerson, person)
}

const addressesOfPerson = `
SELECT purpose, detail, created_ms
FROM links
WHERE person_id = $1
  AND purpose IN ('change', 'undo')
  AND spent_ms IS NULL
  AND expires_ms > NOW_MS
UNION
SELECT CASE kind WHEN 'change' THEN kind ELSE 'undo' END, recipient, created_ms
FROM outbox
WHERE about = $1
  AND kind IN ('change', 'changed')
ORDER BY created_ms`

// Addresses implements [account.Store].
func (p people) Addresses(ctx context.Context, person string) ([]account.OtherAddress, error) {
	return list(ctx, p.db, "read addresses", func(a *account.OtherAddress) into { return into{&a.Purpose, &a.Email, (*millis)(&a.Since)} }, addressesOfPerson, person)
}
