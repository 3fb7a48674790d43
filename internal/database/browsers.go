package database

import (
	"context"
	"time"

	"holdfast/internal/account"
)

const browsersOf = `
SELECT b.hash
FROM browsers b
JOIN people p ON p.id = b.person_id
WHERE p.email_key = $1
  AND b.hash = $2`

// Browsers implements [account.Changes].
func (p people) Browsers(ctx context.Context, key string, hashes []string) ([]string, error) {
	ctx, cancel, failed := p.db.bounded(ctx, "look for browser")
	defer cancel()
	var known []string
	for _, hash := range hashes {
		var found string
		err := noRows(p.db.sql.QueryRowContext(ctx, browsersOf, key, hash).Scan(&found))
		switch {
		case err == nil:
			known = append(known, found)
		case err != account.ErrNotFound:
			return nil, failed(err)
		}
	}
	return known, nil
}

// With the lock, a log-in with a password that is being changed waits, and then
// finds another epoch: a browser that gave the former one is not known.
const noteBrowser = `
INSERT INTO browsers (hash, person_id, created_ms, used_ms)
SELECT $1, id, $3, $4
FROM people
WHERE id = $2
  AND epoch = $5
FOR SHARE
ON CONFLICT (hash) DO UPDATE
SET used_ms = excluded.used_ms`

// maxBrowsers is how many browsers of one person are known: each has tries of
// its own, and whoever once knew the password could otherwise have collected any
// number of them to guess the next one with.
const maxBrowsers = 20

const forgetBrowsers = `
DELETE FROM browsers
WHERE hash IN (
  SELECT hash
  FROM browsers
  WHERE person_id = $1
    AND hash <> $2
  ORDER BY used_ms DESC, hash
  LIMIT 1000
  OFFSET $3)`

// RecordLogin implements [account.Changes].
func (p people) RecordLogin(ctx context.Context, person account.Person, hash string, at time.Time, n account.Audit) error {
	return p.db.transaction(ctx, "note log-in", func(ctx context.Context, tx tracedTx) error {
		_, err := tx.ExecContext(ctx, p.db.locking(noteBrowser), hash, person.ID, at.UnixMilli(), at.UnixMilli(), person.Epoch)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, forgetBrowsers, person.ID, hash, maxBrowsers-1); err != nil {
			return err
		}
		return p.audit(ctx, tx, n)
	})
}

const forgetOtherBrowsers = `
DELETE FROM browsers
WHERE person_id = $1
  AND hash <> $2`
