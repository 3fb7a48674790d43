package database

import (
	"context"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/mail"
)

// outbox implements mail's outbox.
type outbox struct{ db *DB }

// Outbox returns the emails that wait to be sent.
func (db *DB) Outbox() mail.Outbox { return outbox{db} }

// emailsAtOnce is how many emails Take tries, to find one that no other sender takes in
// the meantime.
const emailsAtOnce = 20

// The database's clock decides which emails are due, so that of two servers whose
// clocks differ neither takes an email that the other is sending. As a subquery it is
// read once, and due emails are found by their index. An email that was never tried is
// due, and so is one whose turn is later than any pause: the clock has gone back.
const waitingEmails = `
SELECT id, kind, about, recipient, facts, created_ms, turn_ms, tries, (SELECT NOW_MS)
FROM outbox
WHERE turn_ms <= (SELECT NOW_MS)
   OR tries = 0
   OR turn_ms > (SELECT NOW_MS) + 7200000
ORDER BY turn_ms, id
LIMIT $1`

func emailInto(e *account.Email) into {
	return into{&e.ID, &e.Kind, &e.Person, &e.To, fromJSON{&e.Data}, (*millis)(&e.Created), (*millis)(&e.Turn), &e.Tries, (*millis)(&e.Taken)}
}

const takeEmail = `
UPDATE outbox
SET turn_ms = NOW_MS + $2, tries = tries + 1
WHERE id = $1
  AND turn_ms = $3
  AND tries = $4`

// Anyone can request resets for any number of made-up addresses. Those emails go to no
// one, so if many emails wait, they are removed first, many with one statement, and
// emails with a recipient do not wait for them. Which addresses have an account is
// looked up here, as in [account.Service.Address], long after the requests were
// answered.
const removeResetsForNoOne = `
DELETE FROM outbox
WHERE id IN (
  SELECT id FROM outbox
  WHERE kind = $1
    AND tries = 0
    AND NOT EXISTS (SELECT 1 FROM people WHERE people.email_key = outbox.email_key)
  ORDER BY turn_ms, id
  LIMIT $2)`

// resetsAtOnce is how many of these emails one statement removes.
const resetsAtOnce = 2_000

// Take implements [mail.Outbox].
func (o outbox) Take(ctx context.Context, lease time.Duration) (account.Email, bool, error) {
	const doing = "take email from outbox"
	emails, err := list(ctx, o.db, doing, emailInto, waitingEmails, emailsAtOnce)
	if err == nil && len(emails) == emailsAtOnce {
		var removed int64
		removed, err = o.db.exec(ctx, "remove resets for no one", removeResetsForNoOne, string(account.EmailReset), resetsAtOnce)
		if err == nil && removed > 0 {
			emails, err = list(ctx, o.db, doing, emailInto, waitingEmails, emailsAtOnce)
		}
	}
	if err != nil {
		return account.Email{}, false, err
	}
	for _, e := range emails {
		taken, err := o.db.exec(ctx, doing, takeEmail, e.ID, lease.Milliseconds(), e.Turn.UnixMilli(), e.Tries)
		if err != nil {
			return account.Email{}, false, err
		}
		if taken == 1 {
			e.Tries++
			return e, true, nil
		}
	}
	return account.Email{}, false, nil
}

const removeEmail = `
DELETE FROM outbox
WHERE id = $1
  AND tries = $2`

// Remove implements [mail.Outbox].
func (o outbox) Remove(ctx context.Context, e account.Email) error {
	_, err := o.db.exec(ctx, "remove email from outbox", removeEmail, e.ID, e.Tries)
	return err
}

const postponeEmail = `
UPDATE outbox
SET turn_ms = NOW_MS + $3
WHERE id = $1
  AND tries = $2`

// Postpone implements [mail.Outbox].
func (o outbox) Postpone(ctx context.Context, e account.Email, pause time.Duration) error {
	_, err := o.db.exec(ctx, "postpone email", postponeEmail, e.ID, e.Tries, pause.Milliseconds())
	return err
}
