package database

import (
	"context"
	"database/sql"
	"time"

	"holdfast/internal/account"
)

// people is account's store.
type people struct{ db *DB }

const personColumns = `id, name, email, email_key, password_hash, created_ms, disabled_ms, verified_ms, epoch`

const insertPerson = `
INSERT INTO people (id, name, email, email_key, password_hash, created_ms)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (email_key) DO NOTHING`

// removeWhereKept takes a person back whose address is kept for another account.
// The insertion has waited for whoever was leaving the address, and a later
// statement sees what they kept; in the insertion it might not be seen.
const removeWhereKept = `
DELETE FROM people
WHERE id = $1
  AND EXISTS (` + waysBackOfOthers + `)`

// Insert implements [account.Store].
func (p people) Insert(ctx context.Context, r account.Record) error {
	return p.db.transaction(ctx, "insert person", func(ctx context.Context, tx tracedTx) error {
		added, err := tx.insert(ctx, r)
		if err == nil && !added {
			return account.ErrEmailTaken
		}
		return err
	})
}

// insert lets the unique index decide, without asking first and without a failed
// statement in the database's log. It does the same whether or not the address
// is free.
func (t tracedTx) insert(ctx context.Context, r account.Record) (added bool, err error) {
	inserted, err := t.change(ctx, insertPerson, r.ID, r.Name, r.Email, r.EmailKey, r.PasswordHash, r.Created.UnixMilli())
	if err != nil {
		return false, err
	}
	removed, err := t.change(ctx, removeWhereKept, r.ID, r.EmailKey, r.Created.UnixMilli())
	return inserted > removed, err
}

const personByID = `
SELECT ` + personColumns + `
FROM people
WHERE id = $1`

func (p people) ByID(ctx context.Context, id string) (account.Record, error) {
	return p.one(ctx, "read person by id", personByID, id)
}

const personByEmailKey = `
SELECT ` + personColumns + `
FROM people
WHERE email_key = $1`

func (p people) ByEmailKey(ctx context.Context, key string) (account.Record, error) {
	return p.one(ctx, "read person by e-mail", personByEmailKey, key)
}

const updatePersonName = `
UPDATE people
SET name = $2
WHERE id = $1
RETURNING ` + personColumns

// A way back that was mailed more than once leads to one person.
const personByFormerKey = `
SELECT former.address, ` + personColumns + `
FROM people
JOIN (
  SELECT person_id, detail AS address
  FROM links
  WHERE email_key = $1
    AND purpose = 'undo'
    AND spent_ms IS NULL
    AND expires_ms > $2
  UNION ALL
  SELECT about, recipient
  FROM outbox
  WHERE email_key = $1
    AND kind = 'changed') AS former ON former.person_id = people.id
LIMIT 1`

// ByFormerEmailKey implements [account.Store].
func (p people) ByFormerEmailKey(ctx context.Context, key string, now time.Time) (r account.Record, address string, err error) {
	ctx, cancel, failed := p.db.bounded(ctx, "read person by former e-mail")
	defer cancel()
	r, err = scanPerson(p.db.sql.QueryRowContext(ctx, personByFormerKey, key, now.UnixMilli()), &address)
	return r, address, failed(err)
}

func (p people) UpdateName(ctx context.Context, id, name string) (account.Record, error) {
	return p.change(ctx, "update name of person", updatePersonName, id, name)
}

const disablePerson = `
UPDATE people
SET disabled_ms = COALESCE(disabled_ms, $2)
WHERE id = $1
RETURNING ` + personColumns

const enablePerson = `
UPDATE people
SET disabled_ms = NULL
WHERE id = $1
RETURNING ` + personColumns

func (p people) UpdateDisabled(ctx context.Context, id string, at time.Time) (account.Record, error) {
	if at.IsZero() {
		return p.change(ctx, "enable person", enablePerson, id)
	}
	return p.change(ctx, "disable person", disablePerson, id, at.UnixMilli())
}

const replacePasswordHash = `
UPDATE people
SET password_hash = $3
WHERE id = $1
  AND password_hash = $2`

func (p people) ReplacePasswordHash(ctx context.Context, id, old, new string) error {
	ctx, cancel, failed := p.db.bounded(ctx, "replace password hash of person")
	defer cancel()
	replaced, err := affected(p.db.sql.ExecContext(ctx, replacePasswordHash, id, old, new))
	if err == nil && replaced == 0 {
		return account.ErrNotFound
	}
	return failed(err)
}

const lockPerson = `
UPDATE people
SET id = id
WHERE id = $1`

const peoplePage = `
SELECT ` + personColumns + `
FROM people
WHERE email_key > $1
ORDER BY email_key
LIMIT $2`

func (p people) PageByEmailKey(ctx context.Context, after string, limit int) ([]account.Record, error) {
	ctx, cancel, failed := p.db.bounded(ctx, "read page of people")
	defer cancel()
	rows, err := p.db.sql.QueryContext(ctx, peoplePage, after, limit)
	if err != nil {
		return nil, failed(err)
	}
	defer rows.Close()
	var page []account.Record
	for rows.Next() {
		r, err := scanPerson(rows)
		if err != nil {
			return nil, failed(err)
		}
		page = append(page, r)
	}
	return page, failed(rows.Err())
}

func (p people) one(ctx context.Context, doing, query string, args ...any) (account.Record, error) {
	ctx, cancel, failed := p.db.bounded(ctx, doing)
	defer cancel()
	r, err := scanPerson(p.db.sql.QueryRowContext(ctx, query, args...))
	return r, failed(err)
}

// change is one for a statement that writes.
func (p people) change(ctx context.Context, doing, query string, args ...any) (account.Record, error) {
	ctx, cancel, failed := p.db.boundedWrite(ctx, doing)
	defer cancel()
	r, err := scanPerson(p.db.sql.QueryRowContext(ctx, query, args...))
	return r, failed(err)
}

// scanPerson reads the columns of a person after others.
func scanPerson(row interface{ Scan(...any) error }, before ...any) (account.Record, error) {
	var r account.Record
	var created int64
	var disabled, verified sql.NullInt64
	err := row.Scan(append(before,
		&r.ID, &r.Name, &r.Email, &r.EmailKey, &r.PasswordHash, &created, &disabled, &verified, &r.Epoch)...)
	if err != nil {
		return account.Record{}, err
	}
	r.Created, r.Disabled, r.Verified = time.UnixMilli(created).UTC(), disabled.Valid, verified.Valid
	return r, nil
}

func affected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
