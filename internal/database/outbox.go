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

// lettersAtOnce is how many letters are looked at for one that no other sender
// takes meanwhile.
const lettersAtOnce = 20

// The clock of the database says whose turn it is, so that of two servers whose
// clocks differ neither takes a letter that is the other's. As a subquery it is
// read once, and turns are found by their index.
const waitingLetters = `
SELECT id, kind, about, recipient, facts, created_ms, turn_ms, tries, (SELECT NOW_MS) - created_ms
FROM outbox
WHERE turn_ms <= (SELECT NOW_MS)
ORDER BY turn_ms, id
LIMIT $1`

const takeLetter = `
UPDATE outbox
SET turn_ms = NOW_MS + $2, tries = tries + 1
WHERE id = $1
  AND turn_ms = $3
  AND tries = $4`

// Take implements [mail.Outbox].
func (o outbox) Take(ctx context.Context, lease time.Duration) (account.Letter, bool, error) {
	ctx, cancel, failed := o.db.bounded(ctx, "take letter from outbox")
	defer cancel()
	letters, err := o.waiting(ctx)
	if err != nil {
		return account.Letter{}, false, failed(err)
	}
	for _, l := range letters {
		taken, err := affected(o.db.sql.ExecContext(ctx, devices(o).statement(takeLetter), l.ID, lease.Milliseconds(), l.Turn.UnixMilli(), l.Tries))
		if err != nil {
			return account.Letter{}, false, failed(err)
		}
		if taken == 1 {
			l.Tries++
			return l, true, nil
		}
	}
	return account.Letter{}, false, nil
}

func (o outbox) waiting(ctx context.Context) ([]account.Letter, error) {
	rows, err := o.db.sql.QueryContext(ctx, devices(o).statement(waitingLetters), lettersAtOnce)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var letters []account.Letter
	for rows.Next() {
		var l account.Letter
		var facts string
		var created, turn, age int64
		if err := rows.Scan(&l.ID, &l.Kind, &l.Person, &l.To, &facts, &created, &turn, &l.Tries, &age); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(facts), &l.Facts); err != nil {
			return nil, fmt.Errorf("read facts of letter %s: %w", l.ID, err)
		}
		l.Created, l.Turn = time.UnixMilli(created).UTC(), time.UnixMilli(turn).UTC()
		l.Age = time.Duration(age) * time.Millisecond
		letters = append(letters, l)
	}
	return letters, rows.Err()
}

const removeLetter = `
DELETE FROM outbox
WHERE id = $1
  AND tries = $2`

// Remove implements [mail.Outbox].
func (o outbox) Remove(ctx context.Context, l account.Letter) error {
	ctx, cancel, failed := o.db.bounded(ctx, "remove letter from outbox")
	defer cancel()
	_, err := o.db.sql.ExecContext(ctx, removeLetter, l.ID, l.Tries)
	return failed(err)
}

const postponeLetter = `
UPDATE outbox
SET turn_ms = NOW_MS + $3
WHERE id = $1
  AND tries = $2`

// Postpone implements [mail.Outbox].
func (o outbox) Postpone(ctx context.Context, l account.Letter, pause time.Duration) error {
	ctx, cancel, failed := o.db.bounded(ctx, "postpone letter")
	defer cancel()
	_, err := o.db.sql.ExecContext(ctx, devices(o).statement(postponeLetter), l.ID, l.Tries, pause.Milliseconds())
	return failed(err)
}
