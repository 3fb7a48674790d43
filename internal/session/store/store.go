// Package store keeps session records under their keys: in Redis, in the
// people's database, in a file or in memory. It owns the contract [Store], its
// four implementations, and what makes their compare-and-swap one step. It must
// not know what a record means, people, or HTTP.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/internal/embeddedredis"
)

// Store keeps values under keys. Implementations are safe for concurrent use,
// and answer within their own time limits.
type Store interface {
	// Get returns the value under key, nil if there is none.
	Get(ctx context.Context, key string) ([]byte, error)
	// GetMany returns one entry for each key, nil where there is none.
	GetMany(ctx context.Context, keys []string) ([][]byte, error)
	// CompareAndSwap replaces old by new in one step that no other write can
	// come between, and keeps new for ttl. old nil: only where there is nothing;
	// new nil: delete. Every non-nil new must differ from all values before it,
	// so that a repeated call recognises that it has succeeded.
	// Errors: ErrConflict, fault.ErrOutcomeUnknown.
	CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) error
	// Delete removes keys; what is not there counts as removed.
	// Errors: fault.ErrOutcomeUnknown.
	Delete(ctx context.Context, keys ...string) error
	// DeleteAll removes every key and returns how many there were.
	DeleteAll(ctx context.Context) (int, error)
	// Ping reports whether the store answers.
	Ping(ctx context.Context) error
	Close() error
}

// The named errors of this package.
var (
	// ErrConflict: under the key is another value than the expected one.
	ErrConflict = errors.New("stored value has changed")
	// ErrMissing: there is no such store, and none was to be made.
	ErrMissing = errors.New("there is no such session store")
	// ErrWrongType: under the key is something that is no value of this package.
	ErrWrongType = errors.New("stored value has the wrong type")
	// ErrMisdelivered: the value read belongs to another key. The connection it
	// came over is closed; nobody may see the value.
	ErrMisdelivered = errors.New("ALARM: store answered with the value of another key")
)

// The kinds of store, as SESSION_STORE names them.
const (
	KindRedis    = "redis"    // Redis, real or embedded: outlives the server
	KindMemory   = "memory"   // this process's memory: gone when it stops
	KindFile     = "file"     // one file, for one process
	KindDatabase = "database" // the table sessions beside the people
)

// Config is what [Open] needs to know.
type Config struct {
	Kind     string // one of the Kind constants
	RedisURL string // "" for the embedded Redis in DataDir
	DataDir  string
	Connect  time.Duration // longest time to open a connection to Redis
	// Timeout is the whole budget of one operation on Redis: waiting, sending,
	// receiving.
	Timeout time.Duration
	// Accept makes Open that of a command: it makes no store, and before anything
	// is written to one, it returns the error of Accept for that store. Nil: that
	// of a server.
	Accept func(Identity) error
	// Endings are applied to data that may have lost them.
	Endings Endings
	// Connecting, if set, is called before a new connection to Redis is checked. The
	// check is given the context that it returns, and done its outcome.
	Connecting func(ctx context.Context) (traced context.Context, done func(error))
	// Belongs reports whether value may be what was stored under key. It is
	// asked about every value that Redis sends.
	Belongs func(key string, value []byte) bool
	// Postgres or SQLite is the people's database, for KindDatabase.
	Postgres     *pgxpool.Pool
	SQLite       *sql.DB
	DatabaseName string
	// DatabaseTimeout bounds one operation of KindDatabase.
	DatabaseTimeout time.Duration
	Log             *slog.Logger
}

// Opened is a store with what is known of it.
type Opened struct {
	Store
	Where   string // in a few words, without any secret
	OneStep string // what makes its compare-and-swap one step, in a few words
	// Dial opens a connection of the caller's own to the Redis that sessions are
	// kept in, with no time limits but the caller's; nil for other stores.
	Dial     func(ctx context.Context, options ...redis.DialOption) (redis.Conn, error)
	Embedded *embeddedredis.Server // nil unless this process runs it

	identity Identity    // without its ID
	clock    *clockWatch // nil where there is no watermark
	close    func() error
}

// Warnings say in words for an operator what does not keep the store from working.
func (o *Opened) Warnings() []string {
	if o.clock == nil || !o.clock.back.isDown.Load() {
		return nil
	}
	return []string{o.clock.back.down}
}

// Close lets go of the store. Closing twice is closing once.
func (o *Opened) Close() error { return o.close() }

// Open opens the store that cfg names. It fails when the store does not answer
// within a few seconds.
func Open(ctx context.Context, cfg Config) (*Opened, error) {
	opened, err := open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open sessions: %w", err)
	}
	opened.close = sync.OnceValue(opened.Store.Close)
	err = waitFor(ctx, opened)
	if refused, ok := errors.AsType[refusal](err); ok {
		return nil, errors.Join(fmt.Errorf("open sessions: %w", refused.error), opened.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open sessions: %s does not answer: %w", opened.Where, err), opened.Close())
	}
	return opened, nil
}

func open(ctx context.Context, cfg Config) (*Opened, error) {
	switch {
	case cfg.Kind == KindRedis && cfg.RedisURL != "":
		return openRedis(cfg)
	case cfg.Kind == KindRedis:
		return openEmbedded(ctx, cfg)
	case cfg.Kind == KindMemory:
		return openMemory(cfg)
	case cfg.Kind == KindFile:
		return openFile(cfg)
	case cfg.Kind == KindDatabase && cfg.Postgres != nil:
		return openPostgres(cfg)
	case cfg.Kind == KindDatabase && cfg.SQLite != nil:
		return openSQLite(cfg)
	case cfg.Kind == KindDatabase:
		return nil, errors.New("SESSION_STORE=database without a database")
	}
	return nil, fmt.Errorf("no session store is called %q", cfg.Kind)
}

// waitFor gives a store that starts at the same moment a little time, and one
// that ends sessions again as long as it does so: stopped half-way it would have
// to begin anew.
func waitFor(ctx context.Context, s Store) error {
	const patience = 3 * time.Second
	deadline, ended := time.Now().Add(patience), -1
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for {
		err := s.Ping(ctx)
		if err == nil || isReply(err, "NOAUTH", "WRONGPASS", "NOPERM") {
			return err
		}
		if _, refused := errors.AsType[refusal](err); refused {
			return err
		}
		var repair Repair
		if errors.As(err, &repair) && repair.Removed > ended {
			deadline, ended = time.Now().Add(patience), repair.Removed
		}
		if time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-pause.C:
		}
	}
}
