package database

import (
	"context"
	"time"

	"holdfast/internal/account"
)

const emailWaits = `
SELECT count(*)
FROM outbox
WHERE id = $1`

const insertLink = `
INSERT INTO links (hash, purpose, person_id, detail, email_key, created_ms, expires_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7)`

// InsertLink implements [account.Changes]. Whoever spends links and takes emails
// back has the person's row, too: a link is made either before, and spent with
// the others, or after, and its email is found to be gone.
func (p people) InsertLink(ctx context.Context, l account.Link) error {
	return p.db.transaction(ctx, "insert link", func(ctx context.Context, tx tracedTx) error {
		if err := tx.take(ctx, l.Person); err != nil {
			return err
		}
		if l.Email != "" {
			var waits int
			if err := tx.row(ctx, emailWaits, l.Email).Scan(&waits); err != nil {
				return err
			}
			if waits == 0 {
				return account.ErrNotFound
			}
		}
		key, _ := account.EmailKey(l.Detail) // none of what is no address
		_, err := tx.ExecContext(ctx, insertLink,
			l.Hash, string(l.Purpose), l.Person, l.Detail, key, l.Created.UnixMilli(), l.Expires.UnixMilli())
		return err
	})
}

const linkByHash = `
SELECT hash, purpose, person_id, detail, created_ms, expires_ms
FROM links
WHERE hash = $1
  AND spent_ms IS NULL
  AND expires_ms > $2`

// FindLink implements [account.Changes].
func (p people) FindLink(ctx context.Context, hash string, now time.Time) (account.Link, error) {
	ctx, cancel, failed := p.db.bounded(ctx, "read link")
	defer cancel()
	var l account.Link
	var created, expires int64
	err := p.db.sql.QueryRowContext(ctx, linkByHash, hash, now.UnixMilli()).
		Scan(&l.Hash, &l.Purpose, &l.Person, &l.Detail, &created, &expires)
	l.Created, l.Expires = time.UnixMilli(created).UTC(), time.UnixMilli(expires).UTC()
	return l, failed(err)
}

const spendLink = `
UPDATE links
SET spent_ms = $2
WHERE hash = $1
  AND spent_ms IS NULL
  AND expires_ms > $3`

// spend spends one link; of any number of callers one succeeds.
func (t tracedTx) spend(ctx context.Context, l account.Link, at time.Time) error {
	spent, err := t.change(ctx, spendLink, l.Hash, at.UnixMilli(), at.UnixMilli())
	if err == nil && spent == 0 {
		return account.ErrLinkInvalid
	}
	return err
}

const spendLinksOfPerson = `
UPDATE links
SET spent_ms = $2
WHERE person_id = $1
  AND spent_ms IS NULL
  AND purpose <> 'undo'`

const removeEmails = `
DELETE FROM outbox
WHERE about = $1
  AND kind IN ('welcome', 'confirm', 'browser', 'change')`

const removeConfirmations = `
DELETE FROM outbox
WHERE about = $1
  AND kind IN ('welcome', 'confirm')`

// removeResets finds emails by their address: whom they are about is looked
// for when they are sent.
const removeResets = `
DELETE FROM outbox
WHERE kind = 'reset'
  AND recipient = (
    SELECT email_key
    FROM people
    WHERE id = $1)`

// spendLinks spends a person's links but the ways back to former addresses, and
// takes back the emails that would carry such a link.
func (t tracedTx) spendLinks(ctx context.Context, person string, at time.Time) error {
	if _, err := t.ExecContext(ctx, spendLinksOfPerson, person, at.UnixMilli()); err != nil {
		return err
	}
	return t.each(ctx, []string{removeEmails, removeResets}, person)
}

const spendUndoLinks = `
UPDATE links
SET spent_ms = $2
WHERE person_id = $1
  AND spent_ms IS NULL
  AND purpose = 'undo'
  AND created_ms >= $3`

const removeUndoEmails = `
DELETE FROM outbox
WHERE about = $1
  AND kind = 'changed'
  AND created_ms >= $2`

// spendWaysBack spends the ways back to the addresses that an account has left
// since a time. Those to earlier ones stay: see docs/decisions.
func (t tracedTx) spendWaysBack(ctx context.Context, person string, since, at time.Time) error {
	if _, err := t.ExecContext(ctx, spendUndoLinks, person, at.UnixMilli(), since.UnixMilli()); err != nil {
		return err
	}
	_, err := t.ExecContext(ctx, removeUndoEmails, person, since.UnixMilli())
	return err
}

// waysBackOfOthers are the ways back of others than a person ($1) to an address
// ($2), at a time ($3), and the emails that will carry one: as long as there is
// one, nobody else gets the address.
const waysBackOfOthers = `
  SELECT person_id
  FROM links
  WHERE email_key = $2
    AND purpose = 'undo'
    AND spent_ms IS NULL
    AND expires_ms > $3
    AND person_id <> $1
  UNION ALL
  SELECT about
  FROM outbox
  WHERE email_key = $2
    AND kind = 'changed'
    AND about <> $1`

const waysBack = `
SELECT detail, created_ms
FROM links
WHERE person_id = $1
  AND spent_ms IS NULL
  AND purpose = 'undo'
UNION ALL
SELECT recipient, created_ms
FROM outbox
WHERE about = $1
  AND kind = 'changed'`

// spendWaysBackTo spends the way back to an address, if there is one, and those
// to the addresses that the account has left since.
func (t tracedTx) spendWaysBackTo(ctx context.Context, key, person string, at time.Time) error {
	rows, err := t.QueryContext(ctx, waysBack, person)
	if err != nil {
		return err
	}
	defer rows.Close()
	first := int64(-1)
	for rows.Next() {
		var address string
		var left int64
		if err := rows.Scan(&address, &left); err != nil {
			return err
		}
		if found, ok := account.EmailKey(address); ok && found == key && (first < 0 || left < first) {
			first = left
		}
	}
	if err := rows.Err(); err != nil || first < 0 {
		return err
	}
	return t.spendWaysBack(ctx, person, time.UnixMilli(first), at)
}
