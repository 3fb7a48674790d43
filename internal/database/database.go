// Package database owns the one SQL database that holds people, their devices,
// server starts and, where asked, sessions: opening PostgreSQL or SQLite,
// migrating it, and the SQL behind the stores that other packages ask for. It
// turns failures of drivers into those of package fault. It must not know of
// HTTP, nor what the values it keeps mean.
//
// One set of SQL serves both: placeholders are $1, times are whole Unix
// milliseconds in columns named …_ms. Each method is one step, done wholly or
// not at all: one statement, or a transaction where it takes several.
package database

import (
	"context"
	"database/sql"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/internal/account"
)

// DefaultTimeout bounds one call from the wait for a connection to the last
// row, where [Config] says nothing else.
const DefaultTimeout = 2 * time.Second

// Config says which database to open.
type Config struct {
	// URL is postgres://… or postgresql://…; empty means SQLite. Settings in
	// its query string go before those made here: pool_max_conns,
	// connect_timeout (seconds) and PostgreSQL's own, such as
	// statement_timeout (milliseconds).
	URL string
	// DataDir is the folder of the SQLite file holdfast.db; unless MustExist is
	// set, both are made when missing, for their owner alone.
	DataDir string
	// MaxConns is the most connections one process holds to PostgreSQL. Zero
	// means DefaultMaxConns.
	MaxConns int
	// Timeout bounds each call. Zero means DefaultTimeout.
	Timeout time.Duration
	// MustExist makes nothing: Open returns ErrMissing when the SQLite file is
	// not there. A PostgreSQL database is never made.
	MustExist bool
	// DiskFull is called when the disk of the SQLite file is full, before the call is
	// tried again. It may be nil.
	DiskFull func()
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	sql     *sql.DB
	conn    conn // runs statements on sql
	name    string
	timeout time.Duration
	writers int // how many statements of one job may write at the same time
	places  places
	page    int             // rows of a page where a test asks for fewer than usual
	pool    *pgxpool.Pool   // PostgreSQL only
	conf    *pgx.ConnConfig // PostgreSQL only
	file    string          // SQLite only

	diskFull func() // SQLite only; may be nil
}

// Open opens the database and asks it for a sign of life. The error names the
// database and the reason, never the password; it is an
// [account.ErrUnavailable] when the database does not answer.
func Open(ctx context.Context, c Config) (*DB, error) {
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxConns <= 0 {
		c.MaxConns = DefaultMaxConns
	}
	if c.URL == "" {
		return openSQLite(ctx, c)
	}
	return openPostgres(ctx, c)
}

// pageOf is how many rows one statement of a long job takes: usual, or what a
// test set.
func (db *DB) pageOf(usual int) int {
	if db.page > 0 {
		return db.page
	}
	return usual
}

// Name says for people which database this is: "PostgreSQL at
// localhost:5432/holdfast" or "SQLite in .data/holdfast.db". It never holds a
// user or a password.
func (db *DB) Name() string { return db.name }

// SQL returns the handle for other users of the same database.
func (db *DB) SQL() *sql.DB { return db.sql }

// Pool returns the pool under [DB.SQL], or nil on SQLite.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Ping returns nil when the database answers a query in time, or
// [account.ErrUnavailable].
func (db *DB) Ping(ctx context.Context) error {
	var one int
	if err := db.scan(ctx, "ping database", into{&one}, `SELECT 1`); err != nil || db.file == "" {
		return err
	}
	// An empty transaction finds a file that was removed.
	return db.transaction(ctx, "ping database", func(*tx) {})
}

// Close closes all connections. It waits for those in use, but not longer than one
// call may take: a hung server does not hold up the exit.
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
