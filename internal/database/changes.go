package database

import (
	"context"
	"errors"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/session"
)

// SignUp implements [account.Changes]. With always, the statements are the same
// whether or not the address is free.
func (p people) SignUp(ctx context.Context, r account.Record, n account.Notes, always bool) (added bool, err error) {
	err = p.db.transaction(ctx, "sign up", func(ctx context.Context, tx tracedTx) error {
		inserted, err := tx.change(ctx, insertPerson, r.ID, r.Name, r.Email, r.EmailKey, r.PasswordHash, r.Created.UnixMilli())
		if err != nil {
			return err
		}
		if added = inserted == 1; !added && !always {
			return nil
		}
		return p.notes(ctx, tx, n)
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
SET password_hash = $2, epoch = epoch + 1, verified_ms = COALESCE(verified_ms, $3)
WHERE id = $1
RETURNING ` + personColumns

// SetPassword implements [account.Changes].
func (p people) SetPassword(ctx context.Context, set account.NewPassword, n account.Notes) (changed account.Record, err error) {
	err = p.db.transaction(ctx, "set password", func(ctx context.Context, tx tracedTx) error {
		if err := tx.take(ctx, set.Person); err != nil {
			return err
		}
		query, args := setPassword, []any{set.Person, set.Hash, set.Old}
		if set.Link != nil {
			if err := tx.spend(ctx, *set.Link, set.At); err != nil {
				return err
			}
			query, args = resetPassword, []any{set.Person, set.Hash, set.At.UnixMilli()}
		}
		changed, err = scanPerson(tx.row(ctx, query, args...))
		if err != nil {
			return noRows(err)
		}
		if err := p.endSessions(ctx, tx, set.Person, set.Keep, session.EndedByPassword); err != nil {
			return err
		}
		if err := tx.spendLinks(ctx, set.Person, set.At); err != nil {
			return err
		}
		if err := tx.spendWaysBackTo(ctx, changed.EmailKey, set.Person, set.At); err != nil {
			return err
		}
		return p.notes(ctx, tx, n)
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
func (p people) ConfirmEmail(ctx context.Context, l account.Link, key string, at time.Time, n account.Notes) (changed account.Record, err error) {
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
		if _, err := tx.ExecContext(ctx, takeBackConfirmations, l.Person); err != nil {
			return err
		}
		return p.notes(ctx, tx, n)
	})
	return changed, err
}

const addressIsFree = `
SELECT count(*)
FROM people
WHERE email_key = $2
  AND id <> $1`

const moveEmail = `
UPDATE people
SET email = $3, email_key = $4, verified_ms = $5,
    password_hash = CASE WHEN $6 = '' THEN password_hash ELSE $6 END,
    epoch = CASE WHEN $6 = '' THEN epoch ELSE epoch + 1 END
WHERE id = $1
  AND email_key = $2
RETURNING ` + personColumns

// MoveEmail implements [account.Changes].
func (p people) MoveEmail(ctx context.Context, l account.Link, before, email, key, hash string, at time.Time, n account.Notes) (changed account.Record, err error) {
	err = p.db.transaction(ctx, "change address", func(ctx context.Context, tx tracedTx) error {
		if err := tx.take(ctx, l.Person); err != nil {
			return err
		}
		if err := tx.spend(ctx, l, at); err != nil {
			return err
		}
		// Asked first only so that no statement fails; the index decides.
		var others int
		if err := tx.row(ctx, addressIsFree, l.Person, key).Scan(&others); err != nil {
			return err
		}
		if others > 0 {
			return account.ErrEmailTaken
		}
		changed, err = scanPerson(tx.row(ctx, moveEmail, l.Person, before, email, key, at.UnixMilli(), hash))
		if duplicate(err) {
			return account.ErrEmailTaken
		}
		if err != nil {
			return noRows(err)
		}
		if err := tx.spendLinks(ctx, l.Person, at); err != nil {
			return err
		}
		if hash == "" {
			return p.notes(ctx, tx, n)
		}
		if err := p.endSessions(ctx, tx, l.Person, "", session.EndedByUndo); err != nil {
			return err
		}
		if err := tx.spendWaysBack(ctx, l.Person, l.Created, at); err != nil {
			return err
		}
		return p.notes(ctx, tx, n)
	})
	return changed, err
}

const revokeDevices = `
INSERT INTO revocations (session_key, ended_ms, deadline_ms)
SELECT session_key, NOW_MS, deadline_ms
FROM devices
WHERE person_id = $1
  AND ended_ms IS NULL
  AND deadline_ms > NOW_MS
  AND id <> $2
ON CONFLICT (session_key) DO NOTHING`

const endDevicesOfPerson = `
UPDATE devices
SET ended_ms = NOW_MS, ended_how = $2
WHERE person_id = $1
  AND ended_ms IS NULL
  AND id <> $3`

// endSessions ends a person's sessions but that of one device: for good in the
// database now, and in the store as soon as somebody tells it. The database's
// clock stamps it: a store that has lost its latest seconds is told again of what
// ended since then by that clock.
func (p people) endSessions(ctx context.Context, t tracedTx, person, keep string, how session.EndReason) error {
	if _, err := t.ExecContext(ctx, devices(p).statement(revokeDevices), person, keep); err != nil {
		return err
	}
	_, err := t.ExecContext(ctx, devices(p).statement(endDevicesOfPerson), person, string(how), keep)
	return err
}

const revokeAllOfPerson = `
INSERT INTO revocations (session_key, ended_ms, deadline_ms, removed_ms)
SELECT session_key, COALESCE(ended_ms, NOW_MS), deadline_ms, ended_ms
FROM devices
WHERE person_id = $1
  AND deadline_ms > NOW_MS
ON CONFLICT (session_key) DO NOTHING`

// Close implements [account.Changes].
func (p people) Close(ctx context.Context, id string, n account.Notes) (ended []string, err error) {
	err = p.db.transaction(ctx, "delete person", func(ctx context.Context, tx tracedTx) error {
		if err := tx.take(ctx, id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, devices(p).statement(revokeAllOfPerson), id); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, waitingRevocationsOf, id)
		if err != nil {
			return err
		}
		if ended, err = scanKeys(rows); err != nil {
			return err
		}
		remove := []string{
			takeBackResets,
			`DELETE FROM devices WHERE person_id = $1`,
			`DELETE FROM links WHERE person_id = $1`,
			`DELETE FROM browsers WHERE person_id = $1`,
			`DELETE FROM history WHERE person_id = $1`,
			`DELETE FROM outbox WHERE about = $1`,
			`DELETE FROM people WHERE id = $1`,
		}
		if err := tx.each(ctx, remove, id); err != nil {
			return err
		}
		return p.notes(ctx, tx, n)
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
