package database

import (
	"context"
	"time"
)

// How long what is over is kept.
const (
	KeepHistory  = 90 * 24 * time.Hour
	keepLinks    = 24 * time.Hour       // after the end of their life
	keepTries    = 2 * 24 * time.Hour   // twice the longest memory of a rule
	keepBrowsers = 400 * 24 * time.Hour // unused; as long as a cookie lives
)

// Tidy removes what is over: old history, links, counted tries, browsers that
// have not logged in for over a year, and revocations of sessions that would
// have ended by now. It is to be called once a day. Any number of instances may
// do so at once. It returns [account.ErrUnavailable].
func (db *DB) Tidy(ctx context.Context, now time.Time) error {
	for _, old := range []struct {
		query  string
		before time.Time
	}{
		{`DELETE FROM history WHERE at_ms < $1`, now.Add(-KeepHistory)},
		{`DELETE FROM links WHERE expires_ms < $1`, now.Add(-keepLinks)},
		{`DELETE FROM throttle WHERE last_ms < $1`, now.Add(-keepTries)},
		{`DELETE FROM browsers WHERE used_ms < $1`, now.Add(-keepBrowsers)},
		{`DELETE FROM revocations WHERE deadline_ms < $1`, now},
	} {
		if err := db.tidy(ctx, old.query, old.before); err != nil {
			return err
		}
	}
	return nil
}

func (db *DB) tidy(ctx context.Context, query string, before time.Time) error {
	ctx, cancel, failed := db.bounded(ctx, "remove what is over")
	defer cancel()
	_, err := db.sql.ExecContext(ctx, query, before.UnixMilli())
	return failed(err)
}
