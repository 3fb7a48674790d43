package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alexedwards/scs/pgxstore"
	"github.com/alexedwards/scs/sqlite3store"
	"github.com/jackc/pgx/v5/pgconn"

	"holdfast/internal/fault"
)

// table keeps values in the database's table sessions. It reads and deletes through
// scs's own stores. It replaces their Commit, an unconditional upsert, with one
// conditional statement, which the database executes atomically: any number of
// servers can share the table, and an operator's command can revoke sessions while
// they run.
type table struct {
	find    func(ctx context.Context, key string) (value []byte, found bool, err error)
	remove  func(ctx context.Context, key string) error
	exec    func(ctx context.Context, query string, args ...any) (rows int64, err error)
	ping    func(context.Context) error
	close   func()
	dialect *strings.Replacer
	expiry  func(time.Time) any
	timeout time.Duration
}

// The three forms of a conditional write. NOW is the present, and AT(…) a time,
// as the table keeps it. A row that has expired counts as none.
const (
	insertSession = `
INSERT INTO sessions (token, data, expiry)
VALUES ($1, $2, AT($3))
ON CONFLICT (token) DO UPDATE
SET data = EXCLUDED.data, expiry = EXCLUDED.expiry
WHERE sessions.expiry <= NOW`

	updateSession = `
UPDATE sessions
SET data = $2, expiry = AT($3)
WHERE token = $1
  AND data = $4
  AND expiry > NOW`

	deleteSession = `
DELETE FROM sessions
WHERE token = $1
  AND data = $2
  AND expiry > NOW`
)

func openPostgres(cfg Config) (*Opened, error) {
	pool, store := cfg.Postgres, pgxstore.New(cfg.Postgres)
	return openTable(cfg, &table{
		find: store.FindCtx, ping: pool.Ping, close: store.StopCleanup,
		remove: func(ctx context.Context, key string) error { return ofStatement(store.DeleteCtx(ctx, key)) },
		exec: func(ctx context.Context, query string, args ...any) (int64, error) {
			done, err := pool.Exec(ctx, query, args...)
			return done.RowsAffected(), ofStatement(err)
		},
		dialect: strings.NewReplacer("NOW", "current_timestamp", "AT($3)", "$3"),
		expiry:  func(at time.Time) any { return at },
	})
}

// ofStatement is the error of a write whose PostgreSQL statement failed with err. A
// statement that PostgreSQL answered was rolled back, and one that is safe to retry
// was not sent.
func ofStatement(err error) error {
	if err == nil || pgconn.SafeToRetry(err) {
		return err
	}
	if _, answered := errors.AsType[*pgconn.PgError](err); answered {
		return err
	}
	return fmt.Errorf("%w: %w", fault.ErrOutcomeUnknown, err)
}

func openSQLite(cfg Config) (*Opened, error) {
	db, store := cfg.SQLite, sqlite3store.New(cfg.SQLite)
	return openTable(cfg, &table{
		// This store takes no context; the driver waits for a lock for its own limit.
		find: func(_ context.Context, key string) ([]byte, bool, error) { return store.Find(key) },
		remove: func(_ context.Context, key string) error {
			return cfg.withRoom(func() error { return store.Delete(key) })
		},
		ping: db.PingContext, close: store.StopCleanup,
		exec: func(ctx context.Context, query string, args ...any) (int64, error) {
			var done sql.Result
			if err := cfg.withRoom(func() (err error) { done, err = db.ExecContext(ctx, query, args...); return err }); err != nil {
				return 0, err
			}
			return done.RowsAffected()
		},
		dialect: strings.NewReplacer("NOW", "julianday('now')", "AT($3)", "julianday($3)"),
		expiry:  func(at time.Time) any { return at.UTC().Format("2006-01-02T15:04:05.999") },
	})
}

func openTable(cfg Config, t *table) (*Opened, error) {
	t.timeout = cfg.DatabaseTimeout
	identity := Identity{Kind: KindDatabase, Place: "table sessions of " + cfg.DatabaseName}
	if err := accept(cfg, identity); err != nil {
		t.close()
		return nil, err
	}
	return &Opened{Store: t, Where: "the sessions table of " + cfg.DatabaseName, OneStep: "one SQL statement whose WHERE clause holds the record as it was read", identity: identity}, nil
}

func (t *table) Get(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	began := time.Now()
	value, found, err := t.find(ctx, key)
	traceOf(ctx).ran("the sessions table", began, value, err, "Find", key)
	if !found {
		return nil, err
	}
	return value, err
}

func (t *table) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	return getEach(ctx, t.Get, keys)
}

func (t *table) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	began := time.Now()
	var rows int64
	var err error
	expiry := t.expiry(began.Add(ttl))
	switch {
	case new == nil:
		rows, err = t.exec(ctx, t.dialect.Replace(deleteSession), key, old)
	case old == nil:
		rows, err = t.exec(ctx, t.dialect.Replace(insertSession), key, new, expiry)
	default:
		rows, err = t.exec(ctx, t.dialect.Replace(updateSession), key, new, expiry, old)
	}
	if err == nil && rows == 0 {
		err = ErrConflict
	}
	traceOf(ctx).ran("the sessions table", began, nil, err, "Commit", key, new)
	return err
}

func (t *table) Delete(ctx context.Context, keys ...string) error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	for _, key := range keys {
		began := time.Now()
		err := t.remove(ctx, key)
		traceOf(ctx).ran("the sessions table", began, nil, err, "Delete", key)
		if err != nil {
			return err
		}
	}
	return nil
}

// deletedAtOnce is how many rows one statement removes.
const deletedAtOnce = 10_000

const deleteSomeSessions = `
DELETE FROM sessions
WHERE token IN (SELECT token FROM sessions WHERE token NOT LIKE '` + Counters + `%' LIMIT $1)`

func (t *table) DeleteAll(ctx context.Context) (int, error) {
	for removed := 0; ; {
		within, cancel := context.WithTimeout(ctx, t.timeout)
		rows, err := t.exec(within, deleteSomeSessions, deletedAtOnce)
		cancel()
		removed += int(rows)
		if err != nil || rows == 0 {
			return removed, err
		}
	}
}

func (t *table) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	return t.ping(ctx)
}

func (t *table) Close() error { t.close(); return nil }
