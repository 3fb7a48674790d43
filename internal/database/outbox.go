package database

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/mail"
)

// outbox is mail's.
type outbox struct{ db *DB }

var _ mail.Outbox = outbox{}

// Outbox returns the mail that waits to be sent.
func (db *DB) Outbox() mail.Outbox { return outbox{db} }

// emailsAtOnce is how many emails are looked at for one that no other sender
// takes meanwhile.
const emailsAtOnce = 20

// The clock of the database says whose turn it is, so that of two servers whose
// clocks differ neither takes an email that is the other's. As a subquery it is
// read once, and turns are found by their index.
const waitingEmails = `
SELECT id, kind, about, recipient, facts, created_ms, turn_ms, tries, (SELECT NOW_MS) - created_ms
FROM outbox
WHERE turn_ms <= (SELECT NOW_MS)
ORDER BY turn_ms, id
LIMIT $1`

const takeEmail = `
UPDATE outbox
SET turn_ms = NOW_MS + $2, tries = tries + 1
WHERE id = $1
  AND turn_ms = $3
  AND tries = $4`

// Take implements [mail.Outbox].
func (o outbox) Take(ctx context.Context, lease time.Duration) (account.Email, bool, error) {
	ctx, cancel, failed := o.db.bounded(ctx, "take email from outbox")
	defer cancel()
	emails, err := o.waiting(ctx)
	if err != nil {
		return account.Email{}, false, failed(err)
	}
	for _, l := range emails {
		taken, err := affected(o.db.sql.ExecContext(ctx, devices(o).statement(takeEmail), l.ID, lease.Milliseconds(), l.Turn.UnixMilli(), l.Tries))
		if err != nil {
			return account.Email{}, false, failed(err)
		}
		if taken == 1 {
			l.Tries++
			return l, true, nil
		}
	}
	return account.Email{}, false, nil
}

func (o outbox) waiting(ctx context.Context) ([]account.Email, error) {
	rows, err := o.db.sql.QueryContext(ctx, devices(o).statement(waitingEmails), emailsAtOnce)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var emails []account.Email
	for rows.Next() {
		var l account.Email
		var facts string
		var created, turn, age int64
		if err := rows.Scan(&l.ID, &l.Kind, &l.Person, &l.To, &facts, &created, &turn, &l.Tries, &age); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(facts), &l.Data); err != nil {
			return nil, fmt.Errorf("read facts of email %s: %w", l.ID, err)
		}
		l.Created, l.Turn = time.UnixMilli(created).UTC(), time.UnixMilli(turn).UTC()
		l.Age = time.Duration(age) * time.Millisecond
		emails = append(emails, l)
	}
	return emails, rows.Err()
}

const removeEmail = `
DELETE FROM outbox
WHERE id = $1
  AND tries = $2`

// Remove implements [mail.Outbox].
func (o outbox) Remove(ctx context.Context, l account.Email) error {
	ctx, cancel, failed := o.db.bounded(ctx, "remove email from outbox")
	defer cancel()
	_, err := o.db.sql.ExecContext(ctx, removeEmail, l.ID, l.Tries)
	return failed(err)
}

const postponeEmail = `
UPDATE outbox
SET turn_ms = NOW_MS + $3
WHERE id = $1
  AND tries = $2`

// Postpone implements [mail.Outbox].
func (o outbox) Postpone(ctx context.Context, l account.Email, pause time.Duration) error {
	ctx, cancel, failed := o.db.bounded(ctx, "postpone email")
	defer cancel()
	_, err := o.db.sql.ExecContext(ctx, devices(o).statement(postponeEmail), l.ID, l.Tries, pause.Milliseconds())
	return failed(err)
}
