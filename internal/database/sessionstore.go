package database

import (
	"context"
	"time"
)

// SessionStore says which session store the servers of this database use. The caller
// defines what the fields mean.
type SessionStore struct{ Kind, ID, Place string }

const recordSessionStore = `
INSERT INTO session_store (only_row, kind, id, place, recorded_ms)
VALUES (1, $1, $2, $3, $4)
ON CONFLICT (only_row) DO UPDATE
SET kind = EXCLUDED.kind, id = EXCLUDED.id, place = EXCLUDED.place, recorded_ms = EXCLUDED.recorded_ms`

// RecordSessionStore records the store of a server that starts, replacing any other.
// Recording it twice has no further effect. It returns [account.ErrUnavailable] if that
// could not be done in time.
func (db *DB) RecordSessionStore(ctx context.Context, s SessionStore) error {
	_, err := db.exec(ctx, "record session store", recordSessionStore,
		s.Kind, s.ID, s.Place, time.Now().UnixMilli())
	return err
}

const replaceSessionStore = `
UPDATE session_store
SET kind = $1, id = $2, place = $3, recorded_ms = $4
WHERE kind = $5
  AND id = $6
  AND place = $7`

// ReplaceSessionStore records the new name of a store, unless another one was recorded
// in the meantime. It returns [account.ErrUnavailable] if that could not be done in
// time.
func (db *DB) ReplaceSessionStore(ctx context.Context, before, now SessionStore) error {
	_, err := db.exec(ctx, "record session store", replaceSessionStore,
		now.Kind, now.ID, now.Place, time.Now().UnixMilli(), before.Kind, before.ID, before.Place)
	return err
}

const recordedSessionStore = `
SELECT kind, id, place
FROM session_store`

// RecordedSessionStore returns what was recorded last, or [account.ErrUnavailable]. If
// nothing was recorded yet, found is false.
func (db *DB) RecordedSessionStore(ctx context.Context) (s SessionStore, found bool, err error) {
	err = db.scan(ctx, "read session store", into{&s.Kind, &s.ID, &s.Place}, recordedSessionStore)
	return s, err == nil, missing(err, nil)
}
