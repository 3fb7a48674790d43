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

// InsertLink implements [account.Store]. Code that spends links and removes emails
// locks the person's row, too: a link is inserted either before, and spent with the
// others, or after, and its email no longer exists.
func (p people) InsertLink(ctx context.Context, l account.Link) error {
	return p.db.transaction(ctx, "insert link", func(t *tx) {
		t.lockPerson(l.Person)
		if l.Email != "" && t.count(emailWaits, l.Email) == 0 {
			t.fail(account.ErrNotFound)
		}
		key, _ := account.EmailKey(l.Detail) // "" if it is not an address
		t.exec(insertLink, l.Hash, string(l.Purpose), l.Person, l.Detail, key, l.Created.UnixMilli(), l.Expires.UnixMilli())
	})
}

const linkByHash = `
SELECT hash, purpose, person_id, detail, created_ms, expires_ms
FROM links
WHERE hash = $1
  AND spent_ms IS NULL
  AND expires_ms > $2`

// FindLink implements [account.Store].
func (p people) FindLink(ctx context.Context, hash string, now time.Time) (l account.Link, err error) {
	columns := into{&l.Hash, &l.Purpose, &l.Person, &l.Detail, (*millis)(&l.Created), (*millis)(&l.Expires)}
	err = p.db.scan(ctx, "read link", columns, linkByHash, hash, now.UnixMilli())
	return l, err
}

const linkDone = `
SELECT COALESCE(MAX(purpose), '')
FROM links
JOIN people ON people.id = links.person_id
WHERE hash = $1
  AND (purpose IN ('confirm', 'change')
      AND people.email_key = links.email_key
      AND verified_ms IS NOT NULL
    OR purpose = 'keep'
      AND spent_ms IS NOT NULL
      AND delete_after_ms IS NULL)`

// LinkDone implements [account.Store].
func (p people) LinkDone(ctx context.Context, hash string) (done account.Purpose, err error) {
	err = p.db.scan(ctx, "read link", into{&done}, linkDone, hash)
	return done, err
}

const spendLink = `
UPDATE links
SET spent_ms = $2
WHERE hash = $1
  AND spent_ms IS NULL
  AND expires_ms > $3`

// spend spends a link. Of several concurrent callers, one succeeds.
func (t *tx) spend(l account.Link, at time.Time) {
	if t.exec(spendLink, l.Hash, at.UnixMilli(), at.UnixMilli()) == 0 {
		t.fail(account.ErrLinkInvalid)
	}
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
  AND kind IN ('welcome', 'confirm', 'browser', 'change', 'closing')`

const removeConfirmations = `
DELETE FROM outbox
WHERE about = $1
  AND kind IN ('welcome', 'confirm')`

// removeResets finds emails by their address: whom they are about is looked up only
// when they are sent.
const removeResets = `
DELETE FROM outbox
WHERE kind = 'reset'
  AND recipient = (
    SELECT email_key
    FROM people
    WHERE id = $1)`

// spendLinks spends a person's links, except undo links, and removes the emails
// that would carry such a link.
func (t *tx) spendLinks(person string, at time.Time) {
	t.exec(spendLinksOfPerson, person, at.UnixMilli())
	t.exec(removeEmails, person)
	t.exec(removeResets, person)
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

// spendUndoLinks spends the undo links to the addresses that an account has left since
// a time. Links to earlier addresses stay valid: see docs/decisions.
func (t *tx) spendUndoLinks(person string, since, at time.Time) {
	t.exec(spendUndoLinks, person, at.UnixMilli(), since.UnixMilli())
	t.exec(removeUndoEmails, person, since.UnixMilli())
}

// undoLinks are the links that restore an earlier address of an account, and the emails
// that will carry such a link (without expires_ms).
const undoLinks = `(
  SELECT person_id, email_key AS address_key, detail AS address, created_ms, expires_ms
  FROM links
  WHERE purpose = 'undo'
    AND spent_ms IS NULL
  UNION ALL
  SELECT about, email_key, recipient, created_ms, NULL
  FROM outbox
  WHERE kind = 'changed') AS undo`

// keptForOthers finds one row for each person except $1 who can restore the address
// with the key $2 at the time $3: until then no one else gets it.
const keptForOthers = `
FROM ` + undoLinks + `
WHERE address_key = $2
  AND person_id <> $1
  AND COALESCE(expires_ms > $3, TRUE)`

const firstUndo = `
SELECT MIN(created_ms)
FROM ` + undoLinks + `
WHERE person_id = $1
  AND address_key = $2`

// spendUndoLinksTo spends the undo link to an address, if there is one, and those to
// the addresses that the account has left since.
func (t *tx) spendUndoLinksTo(key, person string, at time.Time) {
	var left time.Time
	if t.scan(into{(*millis)(&left)}, firstUndo, person, key); !left.IsZero() {
		t.spendUndoLinks(person, left, at)
	}
}
