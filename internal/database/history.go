package database

import (
	"context"
	"encoding/json"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/session"
)

// With the lock, an event of somebody who is being deleted waits, and then finds
// nobody; the check of the foreign key alone would fail.
const insertEvent = `
INSERT INTO history (id, person_id, event, at_ms, user_agent, address)
SELECT $1, id, $3, $4, $5, $6
FROM people
WHERE id = $2
FOR KEY SHARE`

const insertEventByEmail = `
INSERT INTO history (id, person_id, event, at_ms, user_agent, address)
SELECT $1, id, $3, $4, $5, $6
FROM people
WHERE email_key = $2
FOR KEY SHARE`

const insertEmail = `
INSERT INTO outbox (id, kind, about, recipient, email_key, facts, created_ms, turn_ms)
VALUES ($1, $2, $3, $4, $5, $6, NOW_MS, NOW_MS)`

// audit writes events and emails as part of a transaction.
func (p people) audit(ctx context.Context, t tracedTx, n account.Audit) error {
	for _, e := range n.Events {
		_, err := t.ExecContext(ctx, p.db.locking(insertEvent), e.ID, e.Person, string(e.Kind), e.At.UnixMilli(), e.From.UserAgent, e.From.Address)
		if err != nil {
			return err
		}
	}
	for _, l := range n.Emails {
		facts, err := json.Marshal(l.Data)
		if err != nil {
			return err
		}
		key, _ := account.EmailKey(l.To) // none of what is no address
		_, err = t.ExecContext(ctx, devices(p).statement(insertEmail), l.ID, string(l.Kind), l.Person, l.To, key, string(facts))
		if err != nil {
			return err
		}
	}
	return nil
}

// Audit implements [account.Changes].
func (p people) Audit(ctx context.Context, n account.Audit) error {
	return p.db.transaction(ctx, "write notes", func(ctx context.Context, tx tracedTx) error { return p.audit(ctx, tx, n) })
}

const beginWrite = `
INSERT INTO throttle (key, tries, next_ms, last_ms)
VALUES ($1, 1, 0, 0)`

// AuditByEmail implements [account.Changes]. A transaction that has written
// waits for the disk, and one that has written nothing does not, which would
// tell who is registered: so each writes a row and takes it back.
func (p people) AuditByEmail(ctx context.Context, key string, e account.Event) error {
	return p.db.transaction(ctx, "write event", func(ctx context.Context, tx tracedTx) error {
		if _, err := tx.ExecContext(ctx, beginWrite, e.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, p.db.locking(insertEventByEmail),
			e.ID, key, string(e.Kind), e.At.UnixMilli(), e.From.UserAgent, e.From.Address)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, forgetTries, e.ID)
		return err
	})
}

// Nobody does anything when a session expires, so that no event is written. Its
// device tells of it: one marked as expired, or one that has passed its deadline.
const historyOfPerson = `
SELECT id, event, at_ms, user_agent, address
FROM (
  SELECT id, event, at_ms, user_agent, address
  FROM history
  WHERE person_id = $1
  UNION ALL
  SELECT id, CAST($4 AS TEXT), CASE WHEN ended_ms < deadline_ms THEN ended_ms ELSE deadline_ms END, user_agent, address
  FROM devices
  WHERE person_id = $1
    AND confirmed
    AND (ended_how = $5 OR ended_ms IS NULL AND deadline_ms <= NOW_MS)) AS events
ORDER BY at_ms DESC, id
LIMIT $2
OFFSET $3`

// History implements [account.Changes].
func (p people) History(ctx context.Context, person string, offset, limit int) ([]account.Event, error) {
	ctx, cancel, failed := p.db.bounded(ctx, "read history")
	defer cancel()
	rows, err := p.db.sql.QueryContext(ctx, devices(p).statement(historyOfPerson),
		person, limit, offset, string(account.EventSessionExpired), string(session.EndedByTime))
	if err != nil {
		return nil, failed(err)
	}
	defer rows.Close()
	var events []account.Event
	for rows.Next() {
		e := account.Event{Person: person}
		var at int64
		if err := rows.Scan(&e.ID, &e.Kind, &at, &e.From.UserAgent, &e.From.Address); err != nil {
			return nil, failed(err)
		}
		e.At = time.UnixMilli(at).UTC()
		events = append(events, e)
	}
	return events, failed(rows.Err())
}
