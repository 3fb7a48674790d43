// Package revocation stores revocations that the database could not record, because
// it was unavailable or read-only, until it can.
package revocation

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"holdfast/internal/sqlitefile"
)

const (
	// file is the name of the queue in its directory, and legacyFile that of the
	// file of JSON lines that earlier releases used instead.
	file       = "revocations.db"
	legacyFile = "endings.journal"

	// lockWait is the longest wait for another process that writes.
	lockWait = 2 * time.Second
	// maxPages bounds the file: 64 MiB, about 500,000 logouts. Beyond that
	// logouts fail with an error.
	maxPages = 64 << 20 / 4096
	// batch is how many revocations are handled at the same time.
	batch = 1000
)

const createTable = `
CREATE TABLE IF NOT EXISTS revocations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  session_key TEXT NOT NULL,
  reason TEXT NOT NULL
)`

// Queue is a SQLite table in a file that any number of processes may use. When Add
// returns, a revocation is on the disk, so it survives a crash of this process or
// of the machine. Each call opens the file again, so that nothing is written to a
// file that was removed in the meantime.
type Queue struct{ dir string }

// NewQueue returns the queue in a directory, which is created when it is needed.
// With "", Add fails.
func NewQueue(dir string) *Queue { return &Queue{dir} }

// Add records that the sessions with these keys have been revoked.
func (q *Queue) Add(ctx context.Context, keys []string, reason string) error {
	if q.dir == "" {
		return errors.New("no directory for the revocation queue")
	}
	return q.with(ctx, func(db *sql.DB) error { return add(ctx, db, keys, reason) })
}

func add(ctx context.Context, db *sql.DB, keys []string, reason string) error {
	list, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "INSERT INTO revocations (session_key, reason) SELECT value, $1 FROM json_each($2)", reason, string(list))
	return err
}

// Each passes the keys in the queue to yield, in batches.
func (q *Queue) Each(ctx context.Context, yield func(keys []string) error) error {
	return q.read(ctx, func(_ *sql.DB, _ int64, keys map[string][]string) error {
		for _, of := range keys {
			if err := yield(of); err != nil {
				return err
			}
		}
		return nil
	})
}

// Drain passes the revocations in the queue to store, and removes each batch after
// all of it is stored. store must be idempotent: after a failure the same
// revocations are passed again, and two processes may pass the same ones.
func (q *Queue) Drain(ctx context.Context, store func(ctx context.Context, keys []string, reason string) error) (stored int, err error) {
	err = q.read(ctx, func(db *sql.DB, last int64, keys map[string][]string) error {
		n := 0
		for reason, of := range keys {
			if err := store(ctx, of, reason); err != nil {
				return err
			}
			n += len(of)
		}
		_, err := db.ExecContext(ctx, "DELETE FROM revocations WHERE id <= $1", last)
		stored += n
		return err
	})
	return stored, err
}

// read passes the queue to use in batches: the keys by their reason, and the last
// id among them. Without a file it does nothing.
func (q *Queue) read(ctx context.Context, use func(db *sql.DB, last int64, keys map[string][]string) error) error {
	if q.dir == "" || !exists(filepath.Join(q.dir, file)) && !exists(filepath.Join(q.dir, legacyFile)) {
		return nil
	}
	return q.with(ctx, func(db *sql.DB) error {
		for last := int64(0); ; {
			keys := map[string][]string{}
			rows, err := db.QueryContext(ctx, "SELECT id, session_key, reason FROM revocations WHERE id > $1 ORDER BY id LIMIT $2", last, batch)
			if err != nil {
				return err
			}
			for rows.Next() {
				var key, reason string
				if err := rows.Scan(&last, &key, &reason); err != nil {
					return errors.Join(err, rows.Close())
				}
				keys[reason] = append(keys[reason], key)
			}
			if err := rows.Err(); err != nil || len(keys) == 0 {
				return err
			}
			if err := use(db, last, keys); err != nil {
				return err
			}
		}
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// with opens the file for use, and creates it if it is missing.
func (q *Queue) with(ctx context.Context, use func(*sql.DB) error) error {
	pragma := func(name string, value any) string { return fmt.Sprintf("%s(%v)", name, value) }
	db, err := sqlitefile.Open(filepath.Join(q.dir, file), url.Values{
		"_txlock": {"immediate"},
		// EXTRA is FULL with the removal of the rollback journal on the disk, too.
		"_pragma": {pragma("busy_timeout", lockWait.Milliseconds()), pragma("synchronous", "EXTRA"), pragma("max_page_count", maxPages)},
	})
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, createTable); err != nil {
		return err
	}
	if err := q.importLegacy(ctx, db); err != nil {
		return fmt.Errorf("import %s: %w", legacyFile, err)
	}
	return use(db)
}

// importLegacy moves the queue of an earlier release into the table. A file with
// lines that cannot be read, such as one truncated by a crash, is kept under
// another name.
func (q *Queue) importLegacy(ctx context.Context, db *sql.DB) error {
	path := filepath.Join(q.dir, legacyFile)
	if !exists(path) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	lock := flock.New(path + ".lock") // as a server of that release holds it to write
	if _, err := lock.TryLockContext(ctx, time.Millisecond); err != nil {
		return err
	}
	defer lock.Close()
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	unreadable := false
	for line := range bytes.Lines(content) {
		var entry struct {
			Keys   []string `json:"keys"`
			Reason string   `json:"reason"`
		}
		if line = bytes.TrimSpace(line); json.Unmarshal(line, &entry) != nil {
			unreadable = unreadable || len(line) > 0
			continue
		}
		if err := add(ctx, db, entry.Keys, entry.Reason); err != nil {
			return err
		}
	}
	if unreadable {
		return os.Rename(path, path+".unreadable")
	}
	return os.Remove(path)
}
