package database

import (
	"cmp"
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/account"
	"holdfast/internal/session"
)

const closeLater = `
UPDATE people
SET delete_after_ms = NOW_MS + $2
WHERE id = $1
  AND delete_after_ms IS NULL`

// CloseLater implements [account.Store].
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

// KeepPerson implements [account.Store].
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

// How long old rows are kept.
const (
	KeepHistory  = 90 * 24 * time.Hour
	keepLinks    = 24 * time.Hour       // after they expire
	keepTries    = 2 * 24 * time.Hour   // twice the longest memory of a rule
	keepBrowsers = 400 * 24 * time.Hour // after their last use; as long as a cookie lives
)

// deletedAtOnce is how many rows one statement deletes, so that it stays within its time
// limit however many there are, even after years.
const deletedAtOnce = 5_000

// Tidy removes old history, links, counted attempts, browsers that have not logged in
// for over a year, revocations of sessions that would have expired by now, and people
// whose wait for deletion is over. Call it once a day. Any number of instances may do
// so at the same time; the database's clock decides what is old. Each table is tidied
// even if another one fails. It returns [account.ErrUnavailable].
func (db *DB) Tidy(ctx context.Context) error {
	var tables errgroup.Group // several at a time, so that a locked table delays few others
	tables.SetLimit(db.writers)
	for _, old := range []struct {
		table, key, where string
		arg               int64
	}{
		{"history", "id", `at_ms < (SELECT NOW_MS) - $1`, KeepHistory.Milliseconds()},
		{"links", "hash", `expires_ms < (SELECT NOW_MS) - $1`, keepLinks.Milliseconds()},
		{"throttle", "key", `last_ms < (SELECT NOW_MS) - $1`, keepTries.Milliseconds()},
		{"browsers", "hash", `used_ms < (SELECT NOW_MS) - $1`, keepBrowsers.Milliseconds()},
		{"revocations", "session_key", `NOT ` + couldLive, dayAgo()},
	} {
		query := `DELETE FROM ` + old.table + ` WHERE ` + old.key + ` IN (SELECT ` + old.key + ` FROM ` + old.table + ` WHERE ` + old.where + ` LIMIT $2)`
		tables.Go(func() error {
			return db.deleteInBatches(ctx, "delete old rows of "+old.table, query, old.arg)
		})
	}
	tables.Go(func() error { return people{db}.closeDue(ctx) })
	return tables.Wait()
}

// deleteInBatches repeats a statement, whose last parameter is how many rows it may
// delete, until it deletes fewer.
func (db *DB) deleteInBatches(ctx context.Context, doing, query string, args ...any) error {
	atOnce := int64(cmp.Or(db.page, deletedAtOnce))
	for {
		n, err := db.exec(ctx, doing, query, append(args, atOnce)...)
		if err != nil || n < atOnce {
			return err
		}
	}
}
