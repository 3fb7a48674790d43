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

const waitingLetters = `
SELECT id, kind, about, recipient, facts, created_ms, turn_ms, tries
FROM outbox
WHERE turn_ms <= $1
ORDER BY turn_ms, id
LIMIT $2`

const takeLetter = `
UPDATE outbox
SET turn_ms = $2, tries = $3
WHERE id = $1
  AND turn_ms = $4
  AND tries = $5`

// Take implements [mail.Outbox].
func (o outbox) Take(ctx context.Context, now, until time.Time) (account.Letter, bool, error) {
	ctx, cancel, failed := o.db.bounded(ctx, "take letter from outbox")
	defer cancel()
	letters, err := o.waiting(ctx, now)
	if err != nil {
		return account.Letter{}, false, failed(err)
	}
	for _, l := range letters {
		taken, err := affected(o.db.sql.ExecContext(ctx, takeLetter, l.ID, until.UnixMilli(), l.Tries+1, l.Turn.UnixMilli(), l.Tries))
		if err != nil {
			return account.Letter{}, false, failed(err)
		}
		if taken == 1 {
			l.Turn, l.Tries = time.UnixMilli(until.UnixMilli()).UTC(), l.Tries+1
			return l, true, nil
		}
	}
	return account.Letter{}, false, nil
}

func (o outbox) waiting(ctx context.Context, now time.Time) ([]account.Letter, error) {
	rows, err := o.db.sql.QueryContext(ctx, waitingLetters, now.UnixMilli(), lettersAtOnce)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var letters []account.Letter
	for rows.Next() {
		var l account.Letter
		var facts string
		var created, turn int64
		if err := rows.Scan(&l.ID, &l.Kind, &l.Person, &l.To, &facts, &created, &turn, &l.Tries); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(facts), &l.Facts); err != nil {
			return nil, fmt.Errorf("read facts of letter %s: %w", l.ID, err)
		}
		l.Created, l.Turn = time.UnixMilli(created).UTC(), time.UnixMilli(turn).UTC()
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
SET turn_ms = $3
WHERE id = $1
  AND tries = $2`

// Postpone implements [mail.Outbox].
func (o outbox) Postpone(ctx context.Context, l account.Letter, turn time.Time) error {
	ctx, cancel, failed := o.db.bounded(ctx, "postpone letter")
	defer cancel()
	_, err := o.db.sql.ExecContext(ctx, postponeLetter, l.ID, l.Tries, turn.UnixMilli())
	return failed(err)
}
