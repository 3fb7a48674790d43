package database

import (
	"context"
	"time"

	"holdfast/internal/account"
)

// people implements account's store.
type people struct{ db *DB }

const personColumns = `id, name, email, email_key, password_hash, people.created_ms, COALESCE(disabled_ms, delete_after_ms) IS NOT NULL, delete_after_ms, verified_ms IS NOT NULL, epoch`

func personInto(r *account.Record) into {
	return into{
		&r.ID, &r.Name, &r.Email, &r.EmailKey, &r.PasswordHash,
		(*millis)(&r.Created), &r.Disabled, (*millis)(&r.DeleteAfter), &r.Verified, &r.Epoch,
	}
}

const insertPerson = `
INSERT INTO people (id, name, email, email_key, password_hash, created_ms)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (email_key) DO NOTHING`

// removeWhereKept removes the person again if the address is reserved for another
// account. The insertion has waited for any transaction that was leaving the address,
// so a later statement sees the reservation; the insertion itself might not.
const removeWhereKept = `
DELETE FROM people
WHERE id = $1
  AND EXISTS (SELECT 1` + keptForOthers + `)`

// insertPerson lets the unique index decide, without a query first and without a failed
// statement in the database's log. It does the same work whether or not the address is
// free.
func (t *tx) insertPerson(r account.Record) (added, taken bool) {
	inserted := t.exec(insertPerson, r.ID, r.Name, r.Email, r.EmailKey, r.PasswordHash, r.Created.UnixMilli())
	return inserted > t.exec(removeWhereKept, r.ID, r.EmailKey, r.Created.UnixMilli()), inserted == 0
}

// Insert implements [account.Store].
func (p people) Insert(ctx context.Context, r account.Record) error {
	return p.db.transaction(ctx, "insert person", func(t *tx) {
		if added, _ := t.insertPerson(r); !added {
			t.fail(account.ErrEmailTaken)
		}
	})
}

// SignUp implements [account.Store]. With always, the statements are the same
// whether or not the address is free.
func (p people) SignUp(ctx context.Context, r account.Record, a account.Audit, always, taken bool) (added bool, err error) {
	err = p.db.transaction(ctx, "sign up", func(t *tx) {
		var now bool
		if added, now = t.insertPerson(r); always && now != taken {
			t.fail(account.ErrNotFound)
		}
		if added || always {
			t.audit(a)
		}
	})
	return added && err == nil, err
}

const selectPerson = `
SELECT ` + personColumns + `
FROM people
`

const personByID = selectPerson + `WHERE id = $1`

func (p people) ByID(ctx context.Context, id string) (account.Record, error) {
	return p.one(ctx, "read person by id", personByID, id)
}

const personByEmailKey = selectPerson + `WHERE email_key = $1`

func (p people) ByEmailKey(ctx context.Context, key string) (account.Record, error) {
	return p.one(ctx, "read person by email", personByEmailKey, key)
}

const peoplePage = selectPerson + `WHERE email_key > $1
ORDER BY email_key
LIMIT $2`

func (p people) PageByEmailKey(ctx context.Context, after string, limit int) ([]account.Record, error) {
	return list(ctx, p.db, "read page of people", personInto, peoplePage, after, limit)
}

// An undo link that was emailed more than once leads to one person.
const personByFormerKey = `
SELECT undo.address, ` + personColumns + `
FROM people
JOIN ` + undoLinks + ` ON undo.person_id = people.id
WHERE undo.address_key = $1
  AND COALESCE(undo.expires_ms > $2, TRUE)
LIMIT 1`

// ByFormerEmailKey implements [account.Store].
func (p people) ByFormerEmailKey(ctx context.Context, key string, now time.Time) (r account.Record, address string, err error) {
	err = p.db.scan(ctx, "read person by former email", append(into{&address}, personInto(&r)...), personByFormerKey, key, now.UnixMilli())
	return r, address, err
}

const updatePersonName = `
UPDATE people
SET name = $2
WHERE id = $1
RETURNING ` + personColumns

func (p people) UpdateName(ctx context.Context, id, name string) (account.Record, error) {
	r, err := p.one(ctx, "update name of person", updatePersonName, id, name)
	return r, ofWrite(err)
}

const updatePersonDisabled = `
UPDATE people
SET disabled_ms = CASE WHEN $2 THEN COALESCE(disabled_ms, $3) END,
    delete_after_ms = CASE WHEN $2 THEN delete_after_ms END
WHERE id = $1
RETURNING ` + personColumns

func (p people) UpdateDisabled(ctx context.Context, id string, at time.Time) (account.Record, error) {
	r, err := p.one(ctx, "disable or enable person", updatePersonDisabled, id, !at.IsZero(), at.UnixMilli())
	return r, ofWrite(err)
}

const replacePasswordHash = `
UPDATE people
SET password_hash = $3
WHERE id = $1
  AND password_hash = $2`

func (p people) ReplacePasswordHash(ctx context.Context, id, old, new string) error {
	replaced, err := p.db.exec(ctx, "replace password hash of person", replacePasswordHash, id, old, new)
	if err == nil && replaced == 0 {
		return account.ErrNotFound
	}
	return err
}

func (p people) one(ctx context.Context, doing, query string, args ...any) (r account.Record, err error) {
	err = p.db.scan(ctx, doing, personInto(&r), query, args...)
	return r, err
}

const lockPerson = `
UPDATE people
SET id = id
WHERE id = $1
RETURNING COALESCE(disabled_ms, delete_after_ms) IS NOT NULL`

// lockPerson locks a person's row until the transaction ends, or fails with
// ErrNotFound. Every change of a person begins with it, so that no two wait for each
// other, and a concurrent login is either recorded before the change, and found by it,
// or recorded after it, and sees the new values.
func (t *tx) lockPerson(id string) (disabled bool) {
	t.scan(into{&disabled}, lockPerson, id)
	return disabled
}

// person reads one person, or fails with ErrNotFound.
func (t *tx) person(query string, args ...any) (r account.Record) {
	t.scan(personInto(&r), query, args...)
	return r
}
