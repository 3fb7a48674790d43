package database

import (
	"cmp"
	"context"
	"errors"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/session"
)

const closeLater = `
UPDATE people
SET delete_after_ms = NOW_MS + $2
WHERE id = $1
  AND delete_after_ms IS NULL`

// CloseLater implements [account.Changes].
func (p people) CloseLater(ctx context.Context, id string, wait time.Duration, at time.Time, a account.Audit) error {
	return p.db.transaction(ctx, "disable person to be deleted", func(t *tx) {
		t.lockPerson(id)
		if t.exec(closeLater, id, wait.Milliseconds()) == 0 {
			return // another click came first
		}
		t.revokeSessions(id, "", session.RevokedByClosing)
		t.spendLinks(id, at)
		t.audit(a)
	})
}

const keepPerson = `
UPDATE people
SET delete_after_ms = NULL
WHERE id = $1
  AND delete_after_ms IS NOT NULL
RETURNING ` + personColumns

// KeepPerson implements [account.Changes].
func (p people) KeepPerson(ctx context.Context, l account.Link, at time.Time, a account.Audit) (kept account.Record, err error) {
	err = p.db.transaction(ctx, "keep person", func(t *tx) {
		t.lockPerson(l.Person)
		t.spend(l, at)
		kept = t.person(keepPerson, l.Person)
		t.spendLinks(l.Person, at)
		t.audit(a)
	})
	return kept, err
}

const undosOfPerson = `
SELECT count(*)
FROM ` + undoLinks + `
WHERE person_id = $1
  AND COALESCE(expires_ms > NOW_MS, TRUE)`

// closeByLink fails unless the link's person is scheduled for deletion and no one can
// restore an earlier address of the account.
func (t *tx) closeByLink(l account.Link) {
	t.lockPerson(l.Person)
	t.spend(l, l.Created) // expiry was checked before; the row is deleted anyway
	if waits := !t.person(personByID, l.Person).DeleteAfter.IsZero(); !waits {
		t.fail(account.ErrLinkInvalid)
	}
	if t.count(undosOfPerson, l.Person) > 0 {
		t.fail(account.ErrUndoPossible)
	}
}

// dueToClose is the condition that a person's wait is over, and that no emailed link to
// keep the account or to restore its address is still valid: if such an email is
// delayed, the wait is longer.
const dueToClose = `delete_after_ms <= NOW_MS
  AND NOT EXISTS (SELECT 1 FROM outbox WHERE about = people.id AND kind IN ('closing', 'changed'))
  AND NOT EXISTS (
    SELECT 1
    FROM links
    WHERE person_id = people.id
      AND purpose IN ('keep', 'undo')
      AND spent_ms IS NULL
      AND expires_ms > NOW_MS)`

const peopleToClose = `
SELECT id
FROM people
WHERE ` + dueToClose + `
LIMIT $1`

const personDueToClose = personByID + `
  AND ` + dueToClose + `
FOR UPDATE`

// closedAtOnce is how many people one statement finds.
const closedAtOnce = 100

// closeDue removes the people whose wait is over, each in a separate transaction.
func (p people) closeDue(ctx context.Context) error {
	for {
		due, err := list(ctx, p.db, "read people to delete", single[string], peopleToClose, cmp.Or(p.db.page, closedAtOnce))
		if err != nil || len(due) == 0 {
			return err
		}
		for _, id := range due {
			err := p.db.transaction(ctx, "delete person", func(t *tx) { t.closePerson(personDueToClose, id) })
			if err != nil && !errors.Is(err, account.ErrNotFound) { // kept, or deleted by another instance
				return err
			}
		}
	}
}
