package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"holdfast/internal/product"
)

const (
	sqliteFile     = product.Slug + ".db"
	sqliteMaxConns = 8
	lockRetryDelay = 10 * time.Millisecond
)

// openSQLite opens the file, which any number of processes may share.
func openSQLite(ctx context.Context, c Config) (*DB, error) {
	file := filepath.Join(c.DataDir, sqliteFile)
	db := &DB{name: "SQLite in " + file, nowMS: sqliteNowMS, timeout: c.Timeout, writers: 1, places: sqlitePlaces(), file: file}
	if err := db.createFile(); err != nil {
		return nil, fmt.Errorf("open %s: %w", db.name, err)
	}
	dsn, err := sqliteDSN(file, c.Timeout)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", db.name, err)
	}
	if db.sql.DB, err = sql.Open("sqlite", dsn); err != nil {
		return nil, fmt.Errorf("open %s: %w", db.name, err)
	}
	db.sql.SetMaxOpenConns(sqliteMaxConns)
	db.sql.SetMaxIdleConns(sqliteMaxConns)
	if err := db.firstConnection(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", db.name, err), db.sql.Close())
	}
	return db, nil
}

// createFile makes folder and file before SQLite does, which would let others
// read them. SQLite gives its log files the permissions of the main one.
func (db *DB) createFile() error {
	if err := os.MkdirAll(filepath.Dir(db.file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(db.file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// firstConnection switches a new file to WAL, for which SQLite waits for
// nobody: two processes that start at once would fail without the lock.
func (db *DB) firstConnection(ctx context.Context) error {
	unlock, err := db.lockFile(ctx)
	if err != nil {
		return err
	}
	return errors.Join(db.Ping(ctx), unlock())
}

// lockFile takes the lock that openers and migrators of one file share. The
// system lets go of it when the process ends, however it ends.
func (db *DB) lockFile(ctx context.Context) (unlock func() error, err error) {
	lock := flock.New(db.file+".lock", flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, lockRetryDelay); err != nil {
		return nil, failure(ctx, "lock "+lock.Path(), err)
	}
	return lock.Unlock, nil
}

// sqliteDSN writes the file as a URI, in which Windows paths and every
// character of a file name have a spelling.
func sqliteDSN(file string, timeout time.Duration) (string, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/x is /C:/x in a URI
	}
	query := url.Values{
		// A writer takes its lock when it begins, so that none fails midway.
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
		},
	}
	uri := url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}
	return uri.String(), nil
}
