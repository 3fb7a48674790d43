// Package store keeps session records under their keys: in Redis, in the database,
// in a file or in memory. It owns the contract [Store], its four implementations,
// and what makes their compare-and-swap atomic. It must not know about people,
// HTTP, or what a record means.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/internal/embeddedredis"
	"holdfast/internal/redisurl"
	"holdfast/internal/sqlitefile"
)

// Store keeps values under keys. Implementations are safe for concurrent use and
// have their own time limits.
type Store interface {
	// Get returns the value under key, nil if there is none.
	Get(ctx context.Context, key string) ([]byte, error)
	// GetMany returns one entry for each key, nil if there is none.
	GetMany(ctx context.Context, keys []string) ([][]byte, error)
	// CompareAndSwap atomically replaces old with new and keeps new for ttl. If old
	// is nil, it writes only if there is no value; if new is nil, it deletes. Every
	// non-nil new must differ from all earlier values, so that a repeated call
	// recognises that it has succeeded. Errors: ErrConflict,
	// fault.ErrOutcomeUnknown.
	CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) error
	// Delete deletes keys; keys without a value are ignored. Errors:
	// fault.ErrOutcomeUnknown.
	Delete(ctx context.Context, keys ...string) error
	// DeleteAll deletes every key except Counters, and returns how many there were.
	DeleteAll(ctx context.Context) (int, error)
	// Ping reports whether the store answers.
	Ping(ctx context.Context) error
	Close() error
}

// Counters begins the keys of what is counted. Sessions have other keys: theirs are 43
// characters long, without a colon.
const Counters = "count:"

// The named errors of this package.
var (
	// ErrConflict: the stored value is not the expected one.
	ErrConflict = errors.New("stored value has changed")
	// ErrMissing: the store does not exist, and Open was not allowed to create it.
	ErrMissing = errors.New("no such session store")
	// ErrWrongType: under the key is something that this package did not write.
	ErrWrongType = errors.New("stored value has the wrong type")
	// ErrMisdelivered: the value read belongs to another key. Its connection is
	// closed, and the value is not returned.
	ErrMisdelivered = errors.New("ALERT: session store returned the value of another key")
)

// The kinds of store, as SESSION_STORE names them.
const (
	KindRedis    = "redis"    // Redis, external or embedded: survives a restart of the server
	KindMemory   = "memory"   // this process's memory: lost when it stops
	KindFile     = "file"     // one file, for one process
	KindDatabase = "database" // the table sessions of the database
)

// Config configures [Open].
type Config struct {
	Kind     string // one of the Kind constants
	RedisURL string // "" for the embedded Redis in DataDir
	DataDir  string
	Connect  time.Duration // longest time to open a connection to Redis
	// Timeout limits one operation on Redis: waiting, sending and receiving.
	Timeout time.Duration
	// Accept is set by commands. Open then does not create a store, and before
	// anything is written to an existing one, it passes its identity to Accept and
	// fails with Accept's error. Servers leave it nil.
	Accept func(Identity) error
	// RevocationLog are the revocations to reapply to data that may have lost them.
	RevocationLog RevocationLog
	// Connecting, if set, is called before a new connection to Redis is checked.
	// The check gets the returned context, and done gets its result.
	Connecting func(ctx context.Context) (traced context.Context, done func(error))
	// Belongs reports whether value may have been stored under key. It is called
	// for every value that Redis sends.
	Belongs func(key string, value []byte) bool
	// Postgres or SQLite is the database, for KindDatabase.
	Postgres     *pgxpool.Pool
	SQLite       *sql.DB
	DatabaseName string
	// DatabaseTimeout limits one operation of KindDatabase.
	DatabaseTimeout time.Duration
	// DiskFull is called when the disk of DataDir is full, before a write is tried
	// again. It may be nil.
	DiskFull func()
	Log      *slog.Logger
}

// withRoom runs a write to a file, and again if the disk is full and DiskFull may have
// made room.
func (c *Config) withRoom(write func() error) error {
	err := write()
	if c.DiskFull != nil && (errors.Is(err, syscall.ENOSPC) || sqlitefile.Full(err)) {
		c.DiskFull()
		err = write()
	}
	return err
}

// inDataDir returns the path of a store's file. A server creates the directory of a file
// that is missing; a command gets ErrMissing.
func inDataDir(cfg Config, name string) (path string, err error) {
	path = filepath.Join(cfg.DataDir, name)
	if cfg.Accept != nil {
		_, err = os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w: %s does not exist", ErrMissing, path)
		}
		return path, err
	}
	if err = os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		err = fmt.Errorf("create DATA_DIR: %w", err)
	}
	return path, err
}

// Opened is an open store and its description.
type Opened struct {
	Store
	Where   string // in a few words, without any secret
	OneStep string // what makes its compare-and-swap atomic, in a few words
	// Dial opens a new connection to the Redis that holds the sessions, with no time
	// limits except the caller's; nil for other stores.
	Dial     func(ctx context.Context, options ...redis.DialOption) (redis.Conn, error)
	Embedded *embeddedredis.Server // nil unless this process runs it

	identity Identity    // without its ID
	database string      // see Database, for a store that keeps no properties
	clock    *clockWatch // nil where there is no watermark
	close    func() error
}

// SocketURL is the REDIS_URL with which another process uses the Redis in this one; ""
// where there is none, or it has no socket.
func (o *Opened) SocketURL() string {
	if o.Embedded == nil || o.Embedded.Socket() == "" {
		return ""
	}
	return redisurl.OfSocket(o.Embedded.Socket())
}

// Warnings returns problems to show to an operator that do not stop the store from
// working.
func (o *Opened) Warnings() []string {
	if o.clock == nil || !o.clock.back.isDown.Load() {
		return nil
	}
	return []string{o.clock.back.down}
}

// Keys passes the keys of all sessions to yield, in batches. It may pass a key twice, and
// miss one that is stored or deleted during the call. It passes none of
// [KindDatabase]: whatever becomes of that database becomes of its sessions, too.
func (o *Opened) Keys(ctx context.Context, yield func(keys []string) error) error {
	if all, ok := o.Store.(interface {
		keys(ctx context.Context, yield func(keys []string) error) error
	}); ok {
		return all.keys(ctx, yield)
	}
	return nil
}

// Close closes the store. A second Close does nothing.
func (o *Opened) Close() error { return o.close() }

// Open opens the store that cfg describes. It fails if the store does not answer
// within a few seconds.
func Open(ctx context.Context, cfg Config) (*Opened, error) {
	opened, err := open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open session store: %w", err)
	}
	opened.close = sync.OnceValue(opened.Store.Close)
	err = waitFor(ctx, opened)
	if refused, ok := errors.AsType[refusal](err); ok {
		return nil, errors.Join(fmt.Errorf("open session store: %w", refused.error), opened.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open session store: %s does not respond: %w", opened.Where, err), opened.Close())
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
		return nil, errors.New("SESSION_STORE=database requires a database")
	}
	return nil, fmt.Errorf("unknown session store %q", cfg.Kind)
}

// repeat calls each of acts once in each period, until stop is called, which waits for
// those that run.
func repeat(period time.Duration, acts ...func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, act := range acts {
		running.Go(func() {
			tick := time.Tick(period)
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick:
					act(ctx)
				}
			}
		})
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// waitFor gives a store that is just starting a few seconds. A store that is
// reapplying revocations gets as long as it makes progress: if it were stopped, it
// would have to start again.
func waitFor(ctx context.Context, s Store) error {
	const patience = 3 * time.Second
	deadline, ended := time.Now().Add(patience), -1
	tick := time.Tick(100 * time.Millisecond)
	for {
		err := s.Ping(ctx)
		_, refused := errors.AsType[refusal](err)
		if err == nil || refused || isReply(err, "NOAUTH", "WRONGPASS", "NOPERM") {
			return err
		}
		if repair, ok := errors.AsType[Repair](err); ok && repair.Removed > ended {
			deadline, ended = time.Now().Add(patience), repair.Removed
		}
		if time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick:
		}
	}
}
