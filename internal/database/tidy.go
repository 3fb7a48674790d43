package database

import (
	"cmp"
	"context"
	"time"

	"golang.org/x/sync/errgroup"
)

// How long old rows are kept.
const (
	KeepHistory  = 90 * 24 * time.Hour
	keepLinks    = 24 * time.Hour       // after they expire
	keepTries    = 2 * 24 * time.Hour   // twice the longest memory of a rule
	keepBrowsers = 400 * 24 * time.Hour // after their last use; as long as a cookie lives
)

// tidiedAtOnce is how many rows one statement removes, so that it stays within its time
// limit however many there are.
const tidiedAtOnce = 5_000

// Tidy removes old history, links, counted attempts, browsers that have not logged in
// for over a year, revocations of sessions that would have expired by now, and people
// whose wait for deletion is over. Call it once a day. Any number of instances may do
// so at the same time; the database's clock decides what is old. Each table is tidied
// even if another one fails. It returns [account.ErrUnavailable].
func (db *DB) Tidy(ctx context.Context) error {
	var tables errgroup.Group // several at a time, so that a locked table delays few others
	tables.SetLimit(db.writers)
	for _, old := range []struct {
		table, key, where string
		arg               int64
	}{
		{"history", "id", `at_ms < (SELECT NOW_MS) - $1`, KeepHistory.Milliseconds()},
		{"links", "hash", `expires_ms < (SELECT NOW_MS) - $1`, keepLinks.Milliseconds()},
		{"throttle", "key", `last_ms < (SELECT NOW_MS) - $1`, keepTries.Milliseconds()},
		{"browsers", "hash", `used_ms < (SELECT NOW_MS) - $1`, keepBrowsers.Milliseconds()},
		{"revocations", "session_key", `NOT ` + couldLive, dayAgo()},
	} {
		query := `DELETE FROM ` + old.table + ` WHERE ` + old.key + ` IN (SELECT ` + old.key + ` FROM ` + old.table + ` WHERE ` + old.where + ` LIMIT $2)`
		tables.Go(func() error {
			return db.execInBatches(ctx, "delete old rows of "+old.table, query, tidiedAtOnce, old.arg)
		})
	}
	tables.Go(func() error { return people{db}.closeDue(ctx) })
	return tables.Wait()
}

// execInBatches repeats a statement, whose last parameter is how many rows it may
// process, until it processes fewer.
func (db *DB) execInBatches(ctx context.Context, doing, query string, rows int, args ...any) error {
	atOnce := int64(cmp.Or(db.page, rows))
	for {
		n, err := db.exec(ctx, doing, query, append(args, atOnce)...)
		if err != nil || n < atOnce {
			return err
		}
	}
}
