package database

import (
	"context"
	"time"

	"holdfast/internal/account"
)

const insertLink = `
INSERT INTO links (hash, purpose, person_id, detail, created_ms, expires_ms)
SELECT $1, $2, id, $4, $5, $6
FROM people
WHERE id = $3`

// InsertLink implements [account.Changes].
func (p people) InsertLink(ctx context.Context, l account.Link) error {
	ctx, cancel, failed := p.db.bounded(ctx, "insert link")
	defer cancel()
	inserted, err := affected(p.db.sql.ExecContext(ctx, insertLink,
		l.Hash, string(l.Purpose), l.Person, l.Detail, l.Created.UnixMilli(), l.Expires.UnixMilli()))
	if err == nil && inserted == 0 {
		return account.ErrNotFound
	}
	return failed(err)
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
		return account.ErrLinkOver
	}
	return err
}

const spendLinksOfPerson = `
UPDATE links
SET spent_ms = $2
WHERE person_id = $1
  AND spent_ms IS NULL
  AND purpose <> $3`

const takeBackLetters = `
DELETE FROM outbox
WHERE about = $1
  AND kind IN ('welcome', 'confirm', 'reset', 'browser', 'change')`

const takeBackUndoLetters = `
DELETE FROM outbox
WHERE about = $1
  AND kind = 'changed'`

// spendAll spends a person's links but those of one purpose, and takes back the
// letters that would carry such a link.
func (t tracedTx) spendAll(ctx context.Context, person string, at time.Time, but account.Purpose) error {
	if _, err := t.ExecContext(ctx, spendLinksOfPerson, person, at.UnixMilli(), string(but)); err != nil {
		return err
	}
	if _, err := t.ExecContext(ctx, takeBackLetters, person); err != nil {
		return err
	}
	if but == account.PurposeUndo {
		return nil
	}
	_, err := t.ExecContext(ctx, takeBackUndoLetters, person)
	return err
}
