package database

import (
	"context"
	"time"

	"holdfast/internal/account"
)

const knownBrowser = `
SELECT b.hash
FROM browsers b
JOIN people p ON p.id = b.person_id
WHERE p.email_key = $1
  AND b.hash IN (SELECT value FROM JSON_TEXTS($2))
ORDER BY b.used_ms DESC, b.hash
LIMIT 1`

// KnownBrowser implements [account.Store].
func (p people) KnownBrowser(ctx context.Context, key string, hashes []string) (hash string, err error) {
	err = p.db.scan(ctx, "find browser", into{&hash}, knownBrowser, key, jsonTexts(hashes))
	return hash, missing(err, nil)
}

// The lock makes a login wait for a concurrent password change. The login then finds
// another epoch, so a browser that sent the old password does not become known.
const insertBrowser = `
INSERT INTO browsers (hash, person_id, created_ms, used_ms)
SELECT $1, id, $3, $4
FROM people
WHERE id = $2
  AND epoch = $5
FOR SHARE
ON CONFLICT (hash) DO UPDATE
SET used_ms = excluded.used_ms`

// maxBrowsers is how many browsers of one person are known. Each has its own attempts:
// without a maximum, someone who once knew the password could guess the next one.
const maxBrowsers = 20

// forgetBrowsers forgets all but the browser $2 and the $3 others that were used last.
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

// RecordLogin implements [account.Store].
func (p people) RecordLogin(ctx context.Context, person account.Person, hash string, at time.Time, a account.Audit) error {
	return p.db.transaction(ctx, "record log-in", func(t *tx) {
		t.exec(insertBrowser, hash, person.ID, at.UnixMilli(), at.UnixMilli(), person.Epoch)
		t.exec(forgetBrowsers, person.ID, hash, maxBrowsers-1)
		t.audit(a)
	})
}
