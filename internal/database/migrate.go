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
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	goosedb "github.com/pressly/goose/v3/database"

	"holdfast/internal/account"
	"holdfast/internal/product"
	"holdfast/migrations"
)

// migrateTimeout limits a whole migration, including the wait for another one. The time
// limit of single calls does not apply to its statements.
const migrateTimeout = 5 * time.Minute

// advisoryLock is the key of the PostgreSQL advisory lock that migrators
// share: the first eight letters of the product's name as a big-endian number.
func advisoryLock() int64 {
	var name [8]byte
	copy(name[:], product.Slug)
	return int64(binary.BigEndian.Uint64(name[:]))
}

// Migrate applies every missing migration and returns the file names of those that this
// call applied, in order. Any number of processes may call it at the same time: one
// applies, the others wait and find nothing to do. It returns [account.ErrUnavailable]
// if the database cannot be reached.
func (db *DB) Migrate(ctx context.Context) (applied []string, err error) {
	inner, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	if db.pool != nil {
		applied, err = db.migratePostgres(inner)
	} else {
		err = db.whileLocked(inner, func() (err error) {
			applied, err = db.up(inner, db.sql)
			return err
		})
	}
	return applied, failure(ctx, "migrate "+db.name, err)
}

// formerKeys finds the keys of addresses that may have another key in this version: a
// domain outside ASCII had one key in Unicode and one in ASCII. Confirmed addresses
// come first, then earlier accounts.
const formerKeys = `
SELECT email_key
FROM (
  SELECT email_key, verified_ms, created_ms FROM people
  UNION ALL
  SELECT email_key, NULL, created_ms FROM links WHERE spent_ms IS NULL
  UNION ALL
  SELECT email_key, NULL, created_ms FROM outbox) AS keys
WHERE length(email_key) <> octet_length(email_key)
ORDER BY verified_ms IS NULL, created_ms`

// renewKeys gives addresses the key that they have in this version, unless another
// account has it: then both stay as they are, see docs/decisions. It runs at every
// start, because an earlier version may run beside this one.
func renewKeys(t *tx) error {
	for _, key := range collect(t, single[string], formerKeys) {
		now, ok := account.EmailKey(key)
		if !ok || now == key {
			continue
		}
		for _, renew := range []string{
			`UPDATE links SET email_key = $2 WHERE email_key = $1`,
			`UPDATE outbox SET email_key = $2 WHERE email_key = $1`,
			`UPDATE outbox SET recipient = $2 WHERE recipient = $1 AND kind = 'reset'`,
			`UPDATE people SET email_key = $2 WHERE email_key = $1 AND NOT EXISTS (SELECT 1 FROM people WHERE email_key = $2)`,
		} {
			if t.exec(renew, key, now); duplicate(t.err) {
				t.err = nil
			}
		}
	}
	return t.err
}

// migratePostgres uses separate connections, whose statements may take as long as they
// need.
func (db *DB) migratePostgres(ctx context.Context) ([]string, error) {
	conf := db.pool.Config().ConnConfig // a copy
	conf.RuntimeParams["statement_timeout"] = "0"
	conf.RuntimeParams["lock_timeout"] = "0"
	own := stdlib.OpenDB(*conf)
	own.SetMaxOpenConns(1)
	applied, err := db.up(ctx, own, goose.WithSessionLocker(waitingLocker{}))
	return applied, errors.Join(err, own.Close())
}

// waitingLocker is goose's session lock, but it waits instead of polling, so that a
// start takes no longer than it must.
type waitingLocker struct{}

func (waitingLocker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, advisoryLock())
	return err
}

func (waitingLocker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, advisoryLock())
	return err
}

// Errors from opening a database that must be ready for use.
var (
	// ErrMissing means that the database does not exist and Open was not allowed to
	// create it.
	ErrMissing = errors.New("database does not exist")
	// ErrNotMigrated means that migrations of this version have not been applied.
	ErrNotMigrated = errors.New("the database lacks migrations of this version")
)

// CheckMigrated changes nothing. It returns ErrNotMigrated if a migration of this
// version has not been applied, and [account.ErrUnavailable] if the database cannot be
// queried. A database that is ahead of this version is fine: its migrations let the
// previous version continue.
func (db *DB) CheckMigrated(ctx context.Context) (ahead bool, err error) {
	steps, err := db.migrator(db.sql)
	if err != nil {
		return false, err
	}
	doing := "read version of " + db.name
	var migrated bool
	var version int64
	err = db.scan(ctx, doing, into{&migrated}, db.hasTable, versionTable)
	if err == nil && migrated {
		err = db.scan(ctx, doing, into{&version}, latestVersion)
	}
	if err != nil {
		return false, err
	}
	latest := latestSource(steps)
	if version < latest {
		err = ErrNotMigrated
	}
	return version > latest, err
}

// latestSource returns the version of the latest migration of this program.
func latestSource(steps *goose.Provider) int64 {
	sources := steps.ListSources() // in order
	return sources[len(sources)-1].Version
}

const latestVersion = `
SELECT COALESCE(MAX(version_id), 0)
FROM ` + versionTable + `
WHERE is_applied`

// migrator prepares the migrations. It does not query the database.
func (db *DB) migrator(on *sql.DB, opts ...goose.ProviderOption) (*goose.Provider, error) {
	steps, err := fs.Sub(migrations.FS, db.migrations)
	if err != nil {
		return nil, err
	}
	opts = append(opts, goose.WithSlog(slog.New(slog.DiscardHandler)), goose.WithDisableGlobalRegistry(true), goose.WithTableName(versionTable))
	provider, err := goose.NewProvider(db.goose, on, steps, opts...)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return provider, nil
}

func (db *DB) up(ctx context.Context, on *sql.DB, opts ...goose.ProviderOption) (applied []string, err error) {
	provider, err := db.migrator(on, opts...)
	if err != nil {
		return nil, err
	}
	if err := db.provideVersionTable(ctx, on, latestSource(provider)); err != nil {
		return nil, err
	}
	results, err := provider.Up(ctx)
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		results = partial.Applied
	}
	for _, r := range results {
		applied = append(applied, path.Base(r.Source.Path))
	}
	if err == nil {
		err = renewKeys(&tx{ctx: ctx, words: db.words, via: on})
	}
	return applied, err
}

const (
	// versionTable records which migrations have been applied.
	versionTable = product.Slug + "_migrations"
	// formerVersionTable is the table of earlier releases. It is goose's default, so
	// another program that shares the schema may use the same name.
	formerVersionTable = goose.DefaultTablename
)

const copyVersions = `
INSERT INTO ` + versionTable + ` (version_id, is_applied, tstamp)
SELECT version_id, is_applied, tstamp
FROM ` + formerVersionTable + `
WHERE version_id <= $1
ORDER BY id`

// provideVersionTable copies the versions up to latest from the table of an earlier
// release, which keeps its own: later ones are another program's. It fails, without
// changing anything, if a table with one of our names belongs to another program.
func (db *DB) provideVersionTable(ctx context.Context, on *sql.DB, latest int64) error {
	var there bool
	if err := on.QueryRowContext(ctx, db.hasTable, versionTable).Scan(&there); there || err != nil {
		return err
	}
	open, err := on.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer open.Rollback()
	t := &tx{ctx: ctx, words: db.words, via: open}
	if db.pool != nil {
		t.exec(`SELECT pg_advisory_xact_lock($1)`, advisoryLock())
	}
	columns := collect(t, single[string], db.columns)
	if t.err != nil || slices.Contains(columns, versionTable+".version_id") {
		return t.err
	}
	if !slices.Contains(columns, formerVersionTable+".version_id") || !slices.Contains(columns, "people.email_key") {
		return db.checkForeign(columns)
	}
	store, err := goosedb.NewStore(db.goose, versionTable)
	if err != nil {
		return err
	}
	if err := store.CreateVersionTable(ctx, open); err != nil {
		return err
	}
	if t.exec(copyVersions, latest); t.err != nil {
		return t.err
	}
	return open.Commit()
}

// checkForeign fails if a table with one of these columns has the name of one that
// the migrations create.
func (db *DB) checkForeign(columns []string) error {
	createTable := regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`)
	files, err := fs.Glob(migrations.FS, db.migrations+"/*.sql")
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := fs.ReadFile(migrations.FS, file)
		if err != nil {
			return err
		}
		for _, created := range createTable.FindAllSubmatch(text, -1) {
			table := string(created[1])
			if slices.ContainsFunc(columns, func(column string) bool { return strings.HasPrefix(column, table+".") }) {
				return fmt.Errorf("table %s exists already and is another program's: use a database or a schema (?search_path=%s) of its own",
					table, product.Slug)
			}
		}
	}
	return nil
}
