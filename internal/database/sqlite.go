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
	db := &DB{dialect: sqliteDialect(), name: "SQLite in " + file, file: file, diskFull: c.DiskFull}
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
	db.sql.SetMaxOpenConns(sqliteMaxConns)
	db.sql.SetMaxIdleConns(sqliteMaxConns)
	// The first connection switches a new file to WAL. SQLite does not wait for that: two
	// processes that start at the same time would fail without the lock. Creating the file
	// takes several syncs, and a slow disk is no reason not to start.
	db.timeout = 10 * c.Timeout
	if err := db.whileLocked(ctx, func() error { return db.Ping(ctx) }); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", db.name, err), db.sql.Close())
	}
	db.timeout = c.Timeout
	return db, nil
}

// whileLocked calls do with the lock that openers and migrators of one file share. The
// system releases it when the process ends, for whatever reason.
func (db *DB) whileLocked(ctx context.Context, do func() error) error {
	lock := flock.New(db.file+".lock", flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, lockRetryDelay); err != nil {
		return failure(ctx, "lock "+lock.Path(), err)
	}
	return errors.Join(do(), lock.Unlock())
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
