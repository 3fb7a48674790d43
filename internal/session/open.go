package session

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/alexedwards/scs/boltstore"
	"github.com/alexedwards/scs/v2/memstore"
	"github.com/gomodule/redigo/redis"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// The stores a session can be kept in, as SESSION_STORE names them.
const (
	StoreRedis    = "redis"    // Redis, real or embedded: outlives the server, shared by many
	StoreMemory   = "memory"   // this process's memory: gone when it stops
	StoreFile     = "file"     // one file, for one process
	StoreDatabase = "database" // the table sessions beside the people
)

// Config is what Open needs to know.
type Config struct {
	Store    string // one of the Store constants
	RedisURL string // "" for the embedded Redis in DataDir
	DataDir  string
	Limits   Limits
	Pool     PoolLimits
	Secure   bool // cookies for https only
	Ledger   Ledger
	// Start is the number of this server start, remembered by every log-in.
	Start int64
	// Postgres or SQLite is the people's database, for StoreDatabase.
	Postgres     *pgxpool.Pool
	SQLite       *sql.DB
	DatabaseName string // for Where
	// DatabaseTimeout bounds one operation of StoreDatabase.
	DatabaseTimeout time.Duration
	Now             func() time.Time // nil for the system clock
	Log             *slog.Logger
}

// keepPast is how long a person's past sessions are listed.
const keepPast = 90 * 24 * time.Hour

// Open opens the store and returns the Manager of its sessions. It fails when
// the store does not answer within a few seconds.
func Open(ctx context.Context, cfg Config) (*Manager, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c, where, err := openCells(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open sessions: %w", err)
	}
	if err := waitFor(ctx, c); err != nil {
		return nil, errors.Join(fmt.Errorf("open sessions: %s does not answer: %w", where, err), c.close())
	}
	if err := replayAtOpen(ctx, c, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("open sessions: %w", err), c.close())
	}
	at, err := placeOf(ctx, c, cfg, where)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open sessions: %w", err), c.close())
	}
	if err := cfg.Ledger.Forget(ctx, cfg.Now().Add(-keepPast)); err != nil {
		cfg.Log.WarnContext(ctx, "old log-ins not forgotten", "cause", err)
	}
	return newManager(c, cfg, at), nil
}

// replayAtOpen ends sessions again in a store that this process alone opens,
// and that may have been put back from an older copy. A Redis server is looked
// at whenever a connection to it is opened, see greet.
func replayAtOpen(ctx context.Context, c cells, cfg Config) error {
	if _, server := c.(*redisCells); server {
		return nil
	}
	return revocations{cfg.Ledger, cfg.Now}.replay(ctx, func(keys []string) error {
		for _, key := range keys {
			if err := c.remove(ctx, key); err != nil {
				return err
			}
		}
		return nil
	})
}

// waitFor gives a store that starts at the same moment a little time.
func waitFor(ctx context.Context, c cells) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for {
		err := c.ping(ctx)
		if err == nil || isReply(err, "NOAUTH", "WRONGPASS", "NOPERM") {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-pause.C:
		}
	}
}

func openCells(ctx context.Context, cfg Config) (c cells, where string, err error) {
	switch cfg.Store {
	case StoreRedis:
		if cfg.RedisURL != "" {
			return openRedis(cfg)
		}
		return openEmbedded(ctx, cfg)
	case StoreMemory:
		return &lockedCells{
			// Its sweeper ends with the process: StopCleanup is a data race
			// (scs v2.9.0 makes the channel it reads in the sweeper itself).
			store:   memstore.New(),
			name:    StoreMemory,
			stripes: newStripes(),
			alive:   func(context.Context) error { return nil },
			shut:    func() error { return nil },
		}, "this server's memory", nil
	case StoreFile:
		return openFile(cfg)
	case StoreDatabase:
		return openDatabase(cfg)
	default:
		return nil, "", fmt.Errorf("no session store is called %q", cfg.Store)
	}
}

func openRedis(cfg Config) (cells, string, error) {
	u, err := url.Parse(cfg.RedisURL)
	if err != nil {
		return nil, "", errors.New("REDIS_URL cannot be read")
	}
	dial := func(ctx context.Context, options ...redis.DialOption) (redis.Conn, error) {
		return redis.DialURLContext(ctx, cfg.RedisURL, options...)
	}
	return newRedisCells(dial, cfg), "Redis at " + u.Host, nil
}

func openEmbedded(ctx context.Context, cfg Config) (cells, string, error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, "", fmt.Errorf("make DATA_DIR: %w", err)
	}
	server, err := startEmbeddedRedis(ctx, cfg.DataDir, cfg.Log)
	if err != nil {
		return nil, "", err
	}
	inner := newRedisCells(server.dial, cfg)
	inner.socket, inner.gate = server.socket, &server.gate
	return &lockedCells{
		store:   embeddedStore{inner},
		stripes: newStripes(),
		alive:   inner.ping,
		shut:    func() error { return errors.Join(inner.close(), server.close()) },
	}, "embedded Redis in " + filepath.Join(cfg.DataDir, "redis.db"), nil
}

func openFile(cfg Config) (cells, string, error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, "", fmt.Errorf("make DATA_DIR: %w", err)
	}
	path := filepath.Join(cfg.DataDir, "sessions.bolt")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 3 * time.Second})
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return nil, "", fmt.Errorf("%s is held by another running server: a file belongs to one process", path)
	}
	if err != nil {
		return nil, "", fmt.Errorf("open %s: %w", path, err)
	}
	whole := &sync.RWMutex{}
	sweeper := sweepFile(db, whole, cfg)
	return &lockedCells{
		// Its own clean-up would write past the lock.
		store: boltstore.NewWithCleanupInterval(db, 0),
		name:  StoreFile,
		whole: whole,
		alive: func(context.Context) error { return db.View(func(*bbolt.Tx) error { return nil }) },
		shut:  func() error { sweeper.Stop(); return db.Close() },
	}, "file " + path, nil
}

func openDatabase(cfg Config) (cells, string, error) {
	where := "table sessions of " + cfg.DatabaseName
	switch {
	case cfg.Postgres != nil:
		return openPostgresTable(cfg), where, nil
	case cfg.SQLite != nil:
		return openSQLiteTable(cfg), where, nil
	default:
		return nil, "", errors.New("SESSION_STORE=database without a database")
	}
}
