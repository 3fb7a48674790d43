package database

import (
	"context"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/session"
	"holdfast/internal/text"
)

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

// SetPassword implements [account.Store].
func (p people) SetPassword(ctx context.Context, set account.NewPassword, a account.Audit) (changed account.Record, err error) {
	err = p.db.transaction(ctx, "set password", func(t *tx) {
		t.lockPerson(set.Person)
		if set.Link == nil {
			changed = t.person(setPassword, set.Person, set.Hash, set.Old)
		} else {
			t.spend(*set.Link, set.At)
			mailed, _ := account.EmailKey(set.Link.Detail)
			changed = t.person(resetPassword, set.Person, set.Hash, set.At.UnixMilli(), mailed)
		}
		t.revokeSessions(set.Person, set.Keep, session.RevokedByPassword)
		t.exec(forgetBrowsers, set.Person, set.KeepBrowser, 0)
		if set.KnowBrowser {
			t.exec(insertBrowser, set.KeepBrowser, set.Person, set.At.UnixMilli(), set.At.UnixMilli(), changed.Epoch)
		}
		t.spendLinks(set.Person, set.At)
		t.spendUndoLinksTo(changed.EmailKey, set.Person, set.At)
		t.audit(a)
	})
	return changed, err
}

const confirmEmail = `
UPDATE people
SET verified_ms = COALESCE(verified_ms, $3)
WHERE id = $1
  AND email_key = $2
RETURNING ` + personColumns

// ConfirmEmail implements [account.Store].
func (p people) ConfirmEmail(ctx context.Context, l account.Link, key string, at time.Time, a account.Audit) (changed account.Record, err error) {
	err = p.db.transaction(ctx, "confirm address", func(t *tx) {
		t.lockPerson(l.Person)
		t.spend(l, at)
		changed = t.person(confirmEmail, l.Person, key, at.UnixMilli())
		t.exec(removeConfirmations, l.Person)
		t.audit(a)
	})
	return changed, err
}

const addressInUse = `
SELECT count(*)
FROM people
WHERE email_key = $2
  AND id <> $1`

const addressIsKept = `
SELECT count(*)` + keptForOthers

const moveEmail = `
UPDATE people
SET email = $2, email_key = $3, verified_ms = $4,
    password_hash = CASE WHEN $5 = '' THEN password_hash ELSE $5 END,
    epoch = CASE WHEN $5 = '' THEN epoch ELSE epoch + 1 END,
    delete_after_ms = CASE WHEN $5 = '' THEN delete_after_ms END
WHERE id = $1
RETURNING ` + personColumns

// MoveEmail implements [account.Store].
func (p people) MoveEmail(ctx context.Context, l account.Link, to account.Move, audit func(before account.Record) account.Audit) (changed account.Record, err error) {
	err = p.db.transaction(ctx, "change address", func(t *tx) {
		t.lockPerson(l.Person)
		t.spend(l, to.At)
		before := t.person(personByID, l.Person) // read under the lock: another change may have come first
		if t.count(addressInUse, l.Person, to.Key) > 0 {
			t.fail(account.ErrEmailTaken) // avoids a failed statement; the index decides
		}
		changed = t.person(moveEmail, l.Person, to.Email, to.Key, to.At.UnixMilli(), to.Hash)
		if duplicate(t.err) {
			t.err = account.ErrEmailTaken
		}
		if t.count(addressIsKept, l.Person, to.Key, to.At.UnixMilli()) > 0 { // last: see removeWhereKept
			t.fail(account.ErrEmailTaken)
		}
		t.spendLinks(l.Person, to.At)
		if to.Hash != "" {
			t.revokeSessions(l.Person, "", session.RevokedByUndo)
			t.exec(forgetBrowsers, l.Person, "", 0)
			t.spendUndoLinks(l.Person, l.Created, to.At)
		}
		t.audit(audit(before))
	})
	return changed, err
}

const changeAsked = `
SELECT count(*)
FROM (
  SELECT 1
  FROM links
  WHERE person_id = $1
    AND email_key = $2
    AND purpose = 'change'
    AND spent_ms IS NULL
    AND created_ms > $3
  UNION ALL
  SELECT 1
  FROM outbox
  WHERE about = $1
    AND email_key = $2
    AND kind = 'change') AS asked`

// AskEmail implements [account.Store].
func (p people) AskEmail(ctx context.Context, person, key string, since time.Time, a account.Audit) error {
	return p.db.transaction(ctx, "ask for change of address", func(t *tx) {
		t.lockPerson(person)
		if t.count(changeAsked, person, key, since.UnixMilli()) == 0 {
			t.audit(a)
		}
	})
}

// revokePerson revokes a person's sessions. Those that ended earlier have already been
// removed from the session store.
const revokePerson = `
INSERT INTO revocations (session_key, ended_ms, deadline_ms, removed_ms)
SELECT session_key, COALESCE(ended_ms, STAMP_MS), deadline_ms, ended_ms
FROM devices
WHERE ` + couldLive + `
  AND person_id = $2
  AND (ended_ms IS NULL AND id <> $3 OR $4)
ON CONFLICT (session_key) DO NOTHING`

const endDevicesOfPerson = endDevices + `  AND person_id = $2
  AND id <> $3`

// revokeSessions revokes a person's sessions, except that of the device keep:
// permanently in the database, and in the session store when the caller asks for it.
// The database's clock stamps the revocation: if a store loses its latest seconds,
// everything revoked since then by that clock is revoked there again.
func (t *tx) revokeSessions(person, keep string, why session.RevokeReason) {
	t.exec(revokePerson, dayAgo(), person, keep, false)
	t.exec(endDevicesOfPerson, string(why), person, keep)
}

// forgetTriesOf finds attempts by the end of their key: the person's ID, the hashes of
// their browsers, and the subject of their address ($2).
const forgetTriesOf = `
DELETE FROM throttle
WHERE substr(key, length(key) - 43) IN (
  SELECT ':' || hash
  FROM browsers
  WHERE person_id = $1
  UNION ALL
  SELECT CAST($2 AS TEXT))
   OR substr(key, length(key) - 22) = ':' || $1`

// personToClose locks the row against new rows that refer to the person. lockPerson
// does not: it allows the check of a foreign key.
const personToClose = personByID + `
FOR UPDATE`

const removeEmailsTo = `
DELETE FROM outbox
WHERE about = $1
   OR email_key = $2`

// Close implements [account.Store].
func (p people) Close(ctx context.Context, id string, l *account.Link, a account.Audit) (ended []string, err error) {
	err = p.db.transaction(ctx, "delete person", func(t *tx) {
		if l != nil {
			t.closeByLink(*l)
		}
		ended = t.closePerson(personToClose, id)
		t.audit(a)
	})
	return ended, err
}

// closePerson removes the person that query finds.
func (t *tx) closePerson(query, id string) (ended []string) {
	person := t.person(query, id)
	t.exec(revokePerson, dayAgo(), id, "", true) // revoked ones, too: their devices will be deleted
	ended = collect(t, single[string], waitingRevocationsOf, id)
	t.exec(removeEmailsTo, id, person.EmailKey)
	// An address that was never confirmed may be someone else's. The counted attempts
	// protect their mailbox.
	address := ""
	if person.Verified {
		address = ":" + text.Hash(person.EmailKey)
	}
	t.exec(forgetTriesOf, id, address)
	t.exec(`DELETE FROM devices WHERE person_id = $1`, id)
	t.exec(`DELETE FROM links WHERE person_id = $1`, id)
	t.exec(`DELETE FROM browsers WHERE person_id = $1`, id)
	t.exec(`DELETE FROM history WHERE person_id = $1`, id)
	t.exec(`DELETE FROM people WHERE id = $1`, id)
	return ended
}
