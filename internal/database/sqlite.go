package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"holdfast/internal/product"
	"holdfast/internal/sqlitefile"
)

const (
	sqliteFile     = product.Slug + ".db"
	sqliteMaxConns = 8
	lockRetryDelay = 10 * time.Millisecond
)

// openSQLite opens the file, which any number of processes may share.
func openSQLite(ctx context.Context, c Config) (*DB, error) {
	file := filepath.Join(c.DataDir, sqliteFile)
	db := &DB{name: "SQLite in " + file, timeout: c.Timeout, writers: 1, places: sqlitePlaces(), file: file, diskFull: c.DiskFull}
	params := sqliteParams(c.Timeout)
	if c.MustExist {
		params.Set("mode", "rw")
	}
	var err error
	db.sql, err = sqlitefile.Open(file, params)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrMissing
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", db.name, err)
	}
	db.conn = conn{db.sql, sqliteDialect()}
	db.sql.SetMaxOpenConns(sqliteMaxConns)
	db.sql.SetMaxIdleConns(sqliteMaxConns)
	if err := db.firstConnection(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", db.name, err), db.sql.Close())
	}
	return db, nil
}

// firstConnection switches a new file to WAL. SQLite does not wait for that: two
// processes that start at the same time would fail without the lock.
func (db *DB) firstConnection(ctx context.Context) error {
	unlock, err := db.lockFile(ctx)
	if err != nil {
		return err
	}
	return errors.Join(db.Ping(ctx), unlock())
}

// lockFile acquires the lock that openers and migrators of one file share. The system
// releases it when the process ends, for whatever reason.
func (db *DB) lockFile(ctx context.Context) (unlock func() error, err error) {
	lock := flock.New(db.file+".lock", flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, lockRetryDelay); err != nil {
		return nil, failure(ctx, "lock "+lock.Path(), err)
	}
	return lock.Unlock, nil
}

func sqliteParams(timeout time.Duration) url.Values {
	return url.Values{
		// A writer acquires its lock when it begins, so that none fails midway.
		"_txlock": {"immediate"},
		"_pragma": {
			"busy_timeout(" + milliseconds(timeout*3/4) + ")",
			"journal_mode(WAL)",
			// An acknowledged sign-up survives a power cut; on macOS only with
			// a flush that reaches the disk.
			"synchronous(FULL)",
			"fullfsync(1)",
			"foreign_keys(1)",
			"trusted_schema(0)",
			"secure_delete(1)", // a deleted account leaves nothing in the file
		},
	}
}
