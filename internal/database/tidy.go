package database

import (
	"context"
	"time"
)

// How long old rows are kept.
const (
	KeepHistory  = 90 * 24 * time.Hour
	keepLinks    = 24 * time.Hour       // after the end of their life
	keepTries    = 2 * 24 * time.Hour   // twice the longest memory of a rule
	keepBrowsers = 400 * 24 * time.Hour // unused; as long as a cookie lives
)

// Tidy removes old history, links, counted tries, browsers that have not logged in
// for over a year, and revocations of sessions that would have expired by now. It is to be called once a day. Any number of instances may
// do so at once; the database's clock says what is old. It returns
// [account.ErrUnavailable].
func (db *DB) Tidy(ctx context.Context) error {
	for _, old := range []struct {
		query string
		arg   int64
	}{
		{`DELETE FROM history WHERE at_ms < (SELECT NOW_MS) - $1`, KeepHistory.Milliseconds()},
		{`DELETE FROM links WHERE expires_ms < (SELECT NOW_MS) - $1`, keepLinks.Milliseconds()},
		{`DELETE FROM throttle WHERE last_ms < (SELECT NOW_MS) - $1`, keepTries.Milliseconds()},
		{`DELETE FROM browsers WHERE used_ms < (SELECT NOW_MS) - $1`, keepBrowsers.Milliseconds()},
		{`DELETE FROM revocations WHERE NOT ` + couldLive, dayAgo()},
	} {
		if _, err := db.exec(ctx, "delete old rows", old.query, old.arg); err != nil {
			return err
		}
	}
	return nil
}
