package database

import (
	"context"
	"errors"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/session"
	"holdfast/internal/text"
)

// SignUp implements [account.Changes]. With always, the statements are the same
// whether or not the address is free.
func (p people) SignUp(ctx context.Context, r account.Record, n account.Audit, always bool) (added bool, err error) {
	err = p.db.transaction(ctx, "sign up", func(ctx context.Context, tx tracedTx) error {
		if added, err = tx.insert(ctx, r); err != nil || !added && !always {
			return err
		}
		return p.audit(ctx, tx, n)
	})
	return added && err == nil, err
}

// take takes the row of a person until the transaction ends. Every change of a
// person begins with it, so that none waits for another in a circle, and a
// log-in on its way is either written before, and found, or comes after, and
// finds what is new (see holdPerson).
func (t tracedTx) take(ctx context.Context, id string) error {
	taken, err := t.change(ctx, lockPerson, id)
	if err == nil && taken == 0 {
		return account.ErrNotFound
	}
	return err
}

const setPassword = `
UPDATE people
SET password_hash = $2, epoch = epoch + 1
WHERE id = $1
  AND password_hash = $3
RETURNING ` + personColumns

const resetPassword = `
UPDATE people
SET password_hash = $2, epoch = epoch + 1,
    verified_ms = CASE WHEN email_key = $4 THEN COALESCE(verified_ms, $3) ELSE verified_ms END
WHERE id = $1
RETURNING ` + personColumns

// SetPassword implements [account.Changes].
func (p people) SetPassword(ctx context.Context, set account.NewPassword, n account.Audit) (changed account.Record, err error) {
	err = p.db.transaction(ctx, "set password", func(ctx context.Context, tx tracedTx) error {
		if err := tx.take(ctx, set.Person); err != nil {
			return err
		}
		query, args := setPassword, []any{set.Person, set.Hash, set.Old}
		if set.Link != nil {
			if err := tx.spend(ctx, *set.Link, set.At); err != nil {
				return err
			}
			mailed, _ := account.EmailKey(set.Link.Detail)
			query, args = resetPassword, []any{set.Person, set.Hash, set.At.UnixMilli(), mailed}
		}
		changed, err = scanPerson(tx.row(ctx, query, args...))
		if err != nil {
			return noRows(err)
		}
		if err := p.endSessions(ctx, tx, set.Person, set.Keep, session.EndedByPassword); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, forgetOtherBrowsers, set.Person, set.KeepBrowser); err != nil {
			return err
		}
		if err := tx.spendLinks(ctx, set.Person, set.At); err != nil {
			return err
		}
		if err := tx.spendWaysBackTo(ctx, changed.EmailKey, set.Person, set.At); err != nil {
			return err
		}
		return p.audit(ctx, tx, n)
	})
	return changed, err
}

const confirmEmail = `
UPDATE people
SET verified_ms = COALESCE(verified_ms, $3)
WHERE id = $1
  AND email_key = $2
RETURNING ` + personColumns

// ConfirmEmail implements [account.Changes].
func (p people) ConfirmEmail(ctx context.Context, l account.Link, key string, at time.Time, n account.Audit) (changed account.Record, err error) {
	err = p.db.transaction(ctx, "confirm address", func(ctx context.Context, tx tracedTx) error {
		if err := tx.take(ctx, l.Person); err != nil {
			return err
		}
		if err := tx.spend(ctx, l, at); err != nil {
			return err
		}
		changed, err = scanPerson(tx.row(ctx, confirmEmail, l.Person, key, at.UnixMilli()))
		if err != nil {
			return noRows(err)
		}
		if _, err := tx.ExecContext(ctx, removeConfirmations, l.Person); err != nil {
			return err
		}
		return p.audit(ctx, tx, n)
	})
	return changed, err
}

const addressIsFree = `
SELECT count(*)
FROM people
WHERE email_key = $2
  AND id <> $1`

const addressIsKept = `
SELECT count(*)
FROM (` + waysBackOfOthers + `) AS others`

const moveEmail = `
UPDATE people
SET email = $2, email_key = $3, verified_ms = $4,
    password_hash = CASE WHEN $5 = '' THEN password_hash ELSE $5 END,
    epoch = CASE WHEN $5 = '' THEN epoch ELSE epoch + 1 END
WHERE id = $1
RETURNING ` + personColumns

// MoveEmail implements [account.Changes].
func (p people) MoveEmail(ctx context.Context, l account.Link, to account.Move, tell func(before account.Record) account.Audit) (changed account.Record, err error) {
	err = p.db.transaction(ctx, "change address", func(ctx context.Context, tx tracedTx) error {
		if err := tx.take(ctx, l.Person); err != nil {
			return err
		}
		if err := tx.spend(ctx, l, to.At); err != nil {
			return err
		}
		// With the row taken: another change may have come first.
		before, err := scanPerson(tx.row(ctx, personByID, l.Person))
		if err != nil {
			return noRows(err)
		}
		// Asked first only so that no statement fails; the index decides.
		if err := tx.none(ctx, addressIsFree, l.Person, to.Key); err != nil {
			return err
		}
		changed, err = scanPerson(tx.row(ctx, moveEmail, l.Person, to.Email, to.Key, to.At.UnixMilli(), to.Hash))
		if duplicate(err) {
			return account.ErrEmailTaken
		}
		if err != nil {
			return noRows(err)
		}
		// Asked afterwards: see removeWhereKept.
		if err := tx.none(ctx, addressIsKept, l.Person, to.Key, to.At.UnixMilli()); err != nil {
			return err
		}
		if err := tx.spendLinks(ctx, l.Person, to.At); err != nil {
			return err
		}
		if to.Hash == "" {
			return p.audit(ctx, tx, tell(before))
		}
		if err := p.endSessions(ctx, tx, l.Person, "", session.EndedByUndo); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, forgetOtherBrowsers, l.Person, ""); err != nil {
			return err
		}
		if err := tx.spendWaysBack(ctx, l.Person, l.Created, to.At); err != nil {
			return err
		}
		return p.audit(ctx, tx, tell(before))
	})
	return changed, err
}

// none returns ErrEmailTaken unless a statement counts none.
func (t tracedTx) none(ctx context.Context, query string, args ...any) error {
	var others int
	err := t.row(ctx, query, args...).Scan(&others)
	if err == nil && others > 0 {
		return account.ErrEmailTaken
	}
	return err
}

const revokeDevices = `
INSERT INTO revocations (session_key, ended_ms, deadline_ms)
SELECT session_key, STAMP_MS, deadline_ms
FROM devices
WHERE person_id = $2
  AND ended_ms IS NULL
  AND ` + couldLive + `
  AND id <> $3
ON CONFLICT (session_key) DO NOTHING`

const endDevicesOfPerson = `
UPDATE devices
SET ended_ms = STAMP_MS, ended_how = $2
WHERE person_id = $1
  AND ended_ms IS NULL
  AND id <> $3`

// endSessions ends a person's sessions but that of one device: for good in the
// database now, and in the store as soon as somebody tells it. The database's
// clock stamps it: a store that has lost its latest seconds is told again of what
// ended since then by that clock.
func (p people) endSessions(ctx context.Context, t tracedTx, person, keep string, how session.EndReason) error {
	if _, err := t.ExecContext(ctx, devices(p).statement(revokeDevices), dayAgo(), person, keep); err != nil {
		return err
	}
	_, err := t.ExecContext(ctx, devices(p).statement(endDevicesOfPerson), person, string(how), keep)
	return err
}

const revokeAllOfPerson = `
INSERT INTO revocations (session_key, ended_ms, deadline_ms, removed_ms)
SELECT session_key, COALESCE(ended_ms, STAMP_MS), deadline_ms, ended_ms
FROM devices
WHERE person_id = $2
  AND ` + couldLive + `
ON CONFLICT (session_key) DO NOTHING`

// forgetTriesOf finds tries by the end of their key: the person's id, their
// browsers' hashes, and what their address ($2) is counted as.
const forgetTriesOf = `
DELETE FROM throttle
WHERE substr(key, length(key) - 43) IN (
  SELECT ':' || hash
  FROM browsers
  WHERE person_id = $1
  UNION ALL
  SELECT CAST($2 AS TEXT))
   OR substr(key, length(key) - 22) = ':' || $1`

// personToClose takes the row so that nothing that refers to the person is
// written meanwhile: take does not exclude the check of a foreign key.
const personToClose = personByID + `
FOR UPDATE`

const removeEmailsTo = `
DELETE FROM outbox
WHERE about = $1
   OR email_key = $2`

// Close implements [account.Changes].
func (p people) Close(ctx context.Context, id string, n account.Audit) (ended []string, err error) {
	err = p.db.transaction(ctx, "delete person", func(ctx context.Context, tx tracedTx) error {
		person, err := scanPerson(tx.row(ctx, p.db.locking(personToClose), id))
		if err != nil {
			return noRows(err)
		}
		if _, err := tx.ExecContext(ctx, devices(p).statement(revokeAllOfPerson), dayAgo(), id); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, waitingRevocationsOf, id)
		if err != nil {
			return err
		}
		if ended, err = scanKeys(rows); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, removeEmailsTo, id, person.EmailKey); err != nil {
			return err
		}
		// Where the address was never confirmed, it may be somebody else's, whose
		// mailbox the counts guard.
		address := ""
		if person.Verified {
			address = ":" + text.Hash(person.EmailKey)
		}
		if _, err := tx.ExecContext(ctx, forgetTriesOf, id, address); err != nil {
			return err
		}
		remove := []string{
			`DELETE FROM devices WHERE person_id = $1`,
			`DELETE FROM links WHERE person_id = $1`,
			`DELETE FROM browsers WHERE person_id = $1`,
			`DELETE FROM history WHERE person_id = $1`,
			`DELETE FROM people WHERE id = $1`,
		}
		if err := tx.each(ctx, remove, id); err != nil {
			return err
		}
		return p.audit(ctx, tx, n)
	})
	return ended, err
}

// noRows names a statement that found nobody, inside a transaction.
func noRows(err error) error {
	if errors.Is(failure(context.Background(), "", err), account.ErrNotFound) {
		return account.ErrNotFound
	}
	return err
}
