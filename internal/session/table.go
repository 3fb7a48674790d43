package session

import (
	"context"
	"strings"
	"time"

	"github.com/alexedwards/scs/pgxstore"
	"github.com/alexedwards/scs/sqlite3store"

	"holdfast/internal/learn/trace"
)

// tableCells keeps records in the table sessions of the people's database.
// Reading and removing go through scs's own stores. Their Commit, an
// unconditional upsert, is replaced by one conditional statement, which the
// database carries out whole: any number of servers can share the table, and
// an operator's command can end sessions while they run.
type tableCells struct {
	lockedCells
	exec    func(ctx context.Context, query string, args ...any) (rows int64, err error)
	dialect *strings.Replacer
	expiry  func(time.Time) any
}

// The three ways to swap. NOW is the present, and AT(…) a time, as the table
// keeps it. A row that has expired stands for nothing.
const (
	beginInTable = `
INSERT INTO sessions (token, data, expiry)
VALUES ($1, $2, AT($3))
ON CONFLICT (token) DO UPDATE
SET data = EXCLUDED.data, expiry = EXCLUDED.expiry
WHERE sessions.expiry <= NOW`

	changeInTable = `
UPDATE sessions
SET data = $2, expiry = AT($3)
WHERE token = $1
  AND data = $4
  AND expiry > NOW`

	retireInTable = `
DELETE FROM sessions
WHERE token = $1
  AND data = $2
  AND expiry > NOW`
)

func openPostgresTable(cfg Config) *tableCells {
	pool, store := cfg.Postgres, pgxstore.New(cfg.Postgres)
	return &tableCells{
		lockedCells: lockedCells{
			name: StoreDatabase, store: store, timeout: cfg.DatabaseTimeout,
			alive: pool.Ping,
			shut:  func() error { store.StopCleanup(); return nil },
		},
		exec: func(ctx context.Context, query string, args ...any) (int64, error) {
			done, err := pool.Exec(ctx, query, args...)
			return done.RowsAffected(), err
		},
		dialect: strings.NewReplacer("NOW", "current_timestamp", "AT($3)", "$3"),
		expiry:  func(at time.Time) any { return at },
	}
}

func openSQLiteTable(cfg Config) *tableCells {
	db, store := cfg.SQLite, sqlite3store.New(cfg.SQLite)
	return &tableCells{
		lockedCells: lockedCells{
			name: StoreDatabase, store: store, timeout: cfg.DatabaseTimeout,
			alive: db.PingContext,
			shut:  func() error { store.StopCleanup(); return nil },
		},
		exec: func(ctx context.Context, query string, args ...any) (int64, error) {
			done, err := db.ExecContext(ctx, query, args...)
			if err != nil {
				return 0, err
			}
			return done.RowsAffected()
		},
		dialect: strings.NewReplacer("NOW", "julianday('now')", "AT($3)", "julianday($3)"),
		expiry:  func(at time.Time) any { return at.UTC().Format("2006-01-02T15:04:05.999") },
	}
}

func (c *tableCells) swap(ctx context.Context, key string, from, to []byte, ttl time.Duration) (now []byte, swapped bool, err error) {
	rec, began := c.watched(ctx), time.Now()
	rows, err := c.conditionally(ctx, key, from, to, time.Now().Add(ttl))
	if rec != nil {
		rec.Timed(began, trace.Operation{Store: c.name, Text: "Commit " + key + " " + size(to), Cause: trace.Cause(err)})
	}
	if err != nil || rows == 1 {
		return nil, err == nil, err
	}
	now, found, err := c.find(ctx, key)
	if !found {
		now = nil
	}
	return now, false, err
}

func (c *tableCells) conditionally(ctx context.Context, key string, from, to []byte, expiry time.Time) (rows int64, err error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	switch {
	case to == nil:
		return c.exec(ctx, c.dialect.Replace(retireInTable), key, from)
	case from == nil:
		return c.exec(ctx, c.dialect.Replace(beginInTable), key, to, c.expiry(expiry))
	default:
		return c.exec(ctx, c.dialect.Replace(changeInTable), key, to, c.expiry(expiry), from)
	}
}

func (c *tableCells) remove(ctx context.Context, key string) error { return c.drop(ctx, key) }
