// Package database owns the one SQL database that holds people, their devices, server
// starts and, if configured, sessions: opening PostgreSQL or SQLite, migrating it, and
// the SQL behind the stores that other packages define. It turns driver errors into
// those of package fault. It must not know about HTTP, or what the values it stores
// mean.
//
// One set of SQL serves both databases: placeholders are $1, and times are whole Unix
// milliseconds in columns named …_ms. Each method is atomic: it runs one statement, or
// one transaction.
package database

import (
	"cmp"
	"context"
	"database/sql"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/internal/account"
)

// DefaultTimeout limits one call, from the wait for a connection to the last row,
// unless [Config] sets another limit.
const DefaultTimeout = 2 * time.Second

// Config says which database to open.
type Config struct {
	// URL is postgres://… or postgresql://…; empty means SQLite. Its query string
	// overrides the settings made here: pool_max_conns, connect_timeout (seconds) and
	// PostgreSQL's own, such as statement_timeout (milliseconds).
	URL string
	// DataDir is the directory of the SQLite file holdfast.db. Unless MustExist is set,
	// both are created if missing, with access for their owner only.
	DataDir string
	// MaxConns is the most connections that one process opens to PostgreSQL. Zero means
	// DefaultMaxConns.
	MaxConns int
	// Timeout limits each call. Zero means DefaultTimeout.
	Timeout time.Duration
	// MustExist makes Open return ErrMissing instead of creating the SQLite file. A
	// PostgreSQL database is never created.
	MustExist bool
	// DiskFull is called when the disk of the SQLite file is full, before the call is
	// retried. It may be nil.
	DiskFull func()
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	dialect
	sql     *sql.DB
	name    string
	timeout time.Duration
	page    int           // rows per statement of a long job, if a test asks for fewer than usual
	pool    *pgxpool.Pool // PostgreSQL only
	file    string        // SQLite only

	diskFull func() // SQLite only; may be nil
}

// Open opens the database and pings it. The error names the database and the reason,
// never the password. It is an [account.ErrUnavailable] if the database does not
// answer.
func Open(ctx context.Context, c Config) (*DB, error) {
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.MaxConns = cmp.Or(c.MaxConns, DefaultMaxConns)
	if c.URL == "" {
		return openSQLite(ctx, c)
	}
	return openPostgres(ctx, c)
}

// Name returns a readable name of the database: "PostgreSQL at localhost:5432/holdfast"
// or "SQLite in .data/holdfast.db". It never contains a user or a password.
func (db *DB) Name() string { return db.name }

// SQL returns the handle for other users of the same database.
func (db *DB) SQL() *sql.DB { return db.sql }

// Pool returns the pool under [DB.SQL], or nil on SQLite.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Ping returns nil if the database answers a query in time, or
// [account.ErrUnavailable].
func (db *DB) Ping(ctx context.Context) error {
	var one int
	if err := db.scan(ctx, "ping database", into{&one}, `SELECT 1`); err != nil || db.file == "" {
		return err
	}
	// An empty transaction detects a file that was removed.
	return db.transaction(ctx, "ping database", func(*tx) {})
}

// Close closes all connections. It waits for those in use, but no longer than one call
// may take: a hung server does not delay the exit.
func (db *DB) Close() error {
	err := db.sql.Close()
	if db.pool == nil {
		return err
	}
	closed := make(chan struct{})
	go func() {
		db.pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(db.timeout):
	}
	return err
}

// People returns the store of people.
func (db *DB) People() account.Store { return people{db} }
