package database

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"holdfast/internal/product"
	"holdfast/migrations"
)

// migrateTimeout bounds a whole migration, the wait for another's included.
// The limit of single calls does not hold for its statements.
const migrateTimeout = 5 * time.Minute

// advisoryLock is the key of the PostgreSQL advisory lock that migrators
// share: the first eight letters of the product's name as a big-endian number.
func advisoryLock() int64 {
	var name [8]byte
	copy(name[:], product.Slug)
	return int64(binary.BigEndian.Uint64(name[:]))
}

// Migrate applies every step that is missing and returns the file names of
// those that this call applied, in order. Any number of processes may call it
// at once: one applies, the others wait and find nothing to do. It returns
// [account.ErrUnavailable] when the database cannot be reached.
func (db *DB) Migrate(ctx context.Context) ([]string, error) {
	inner, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	migrate := db.migrateSQLite
	if db.pool != nil {
		migrate = db.migratePostgres
	}
	applied, err := migrate(inner)
	return applied, failure(ctx, "migrate "+db.name, err)
}

func (db *DB) migrateSQLite(ctx context.Context) ([]string, error) {
	unlock, err := db.lockFile(ctx)
	if err != nil {
		return nil, err
	}
	applied, err := up(ctx, goose.DialectSQLite3, "sqlite", db.sql.DB)
	return applied, errors.Join(err, unlock())
}

// migratePostgres uses connections of its own, whose statements may take as
// long as they need.
func (db *DB) migratePostgres(ctx context.Context) ([]string, error) {
	conf := db.conf.Copy()
	conf.RuntimeParams["statement_timeout"] = "0"
	conf.RuntimeParams["lock_timeout"] = "0"
	own := stdlib.OpenDB(*conf)
	own.SetMaxOpenConns(1)
	applied, err := up(ctx, goose.DialectPostgres, "postgres", own, goose.WithSessionLocker(waitingLocker{}))
	return applied, errors.Join(err, own.Close())
}

// waitingLocker is goose's session lock, waited for rather than asked for once
// in a while, so that a start takes no longer than it must.
type waitingLocker struct{}

func (waitingLocker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, advisoryLock())
	return err
}

func (waitingLocker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, advisoryLock())
	return err
}

func up(ctx context.Context, d goose.Dialect, folder string, on *sql.DB, opts ...goose.ProviderOption) ([]string, error) {
	steps, err := fs.Sub(migrations.FS, folder)
	if err != nil {
		return nil, err
	}
	opts = append(opts, goose.WithSlog(slog.New(slog.DiscardHandler)), goose.WithDisableGlobalRegistry(true))
	provider, err := goose.NewProvider(d, on, steps, opts...)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	results, err := provider.Up(ctx)
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		results = partial.Applied
	}
	var applied []string
	for _, r := range results {
		applied = append(applied, path.Base(r.Source.Path))
	}
	return applied, err
}
