package session_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/session"
)

// patience is time enough for one operation on a machine that is busy; how
// fast things fail is tested where budget is used instead.
const patience = 20 * time.Second

// budget is the whole time one operation on Redis gets in tests of outages.
const budget = 300 * time.Millisecond

// noTime is the zero time, which lets a disabled person in again.
var noTime time.Time

// defaults are the limits of the tests that do not ask for others.
var defaults = session.Limits{Idle: time.Hour, Lifetime: 8 * time.Hour, Remember: 30 * 24 * time.Hour}

// world is one store of sessions with the people's database beside it.
type world struct {
	t     testing.TB
	db    *database.DB
	redis *testservice.RedisServer // nil where there is none
	cfg   session.Config
	clock *clock
	log   *logbook
	ada   session.Member
	grace session.Member
}

// on makes a world; with what, the settings of its store.
func on(t testing.TB, with func(w *world)) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{at: time.Now().Truncate(time.Millisecond).UTC()}, log: &logbook{}}
	w.cfg = session.Config{
		Limits: defaults,
		Pool:   session.PoolLimits{Size: 16, Connect: patience, Timeout: patience},
		Start:  7,
		Now:    w.clock.Now,
		Log:    slog.New(slog.NewTextHandler(w.log, nil)),
	}
	with(w)
	if w.db == nil {
		w.database(database.Config{DataDir: t.TempDir()})
	}
	w.cfg.Ledger = w.db.Devices()
	w.ada, w.grace = w.person("Ada"), w.person("Grace")
	return w
}

func onRedis(w *world) { w.onRedis() }

func (w *world) onRedis(args ...string) {
	w.redis = testservice.Redis(w.t, args...)
	w.cfg.Store, w.cfg.RedisURL = session.StoreRedis, w.redis.URL
}

func onEmbedded(w *world) { w.cfg.Store, w.cfg.DataDir = session.StoreRedis, w.t.TempDir() }
func onMemory(w *world)   { w.cfg.Store = session.StoreMemory }
func onFile(w *world)     { w.cfg.Store, w.cfg.DataDir = session.StoreFile, w.t.TempDir() }

func onSQLite(w *world) {
	w.database(database.Config{DataDir: w.t.TempDir()})
	w.cfg.Store, w.cfg.SQLite = session.StoreDatabase, w.db.SQL()
}

func onPostgres(w *world) {
	w.database(database.Config{URL: testservice.Postgres(w.t).URL})
	w.cfg.Store, w.cfg.Postgres = session.StoreDatabase, w.db.Pool()
}

func (w *world) database(cfg database.Config) {
	w.t.Helper()
	cfg.Timeout = patience
	db, err := database.Open(context.Background(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Migrate(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.db = db
}

// eachStore runs a test on every place a session can lie.
func eachStore(t *testing.T, test func(t *testing.T, w *world)) {
	for _, store := range []struct {
		name string
		with func(*world)
	}{
		{"Redis", onRedis}, {"embedded Redis", onEmbedded}, {"memory", onMemory}, {"file", onFile},
		{"SQLite", onSQLite}, {"PostgreSQL", onPostgres},
	} {
		t.Run(store.name, func(t *testing.T) { test(t, on(t, store.with)) })
	}
}

// bothRedis runs a test on a Redis server and on the embedded one.
func bothRedis(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("Redis", func(t *testing.T) { test(t, on(t, onRedis)) })
	t.Run("embedded Redis", func(t *testing.T) { test(t, on(t, onEmbedded)) })
}

// person adds one to the database.
func (w *world) person(name string) session.Member {
	w.t.Helper()
	key := strings.ToLower(name) + "@example.org"
	id := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf("%-16.16s", name)))
	err := w.db.People().Insert(context.Background(), account.Record{
		Person:       account.Person{ID: id, Name: name, Email: key, Created: w.clock.Now()},
		EmailKey:     key,
		PasswordHash: "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return session.Member{ID: id, Name: name}
}

// open opens a Manager with these changes to the settings.
func (w *world) open(changes ...func(*session.Config)) *session.Manager {
	w.t.Helper()
	cfg := w.cfg
	for _, change := range changes {
		change(&cfg)
	}
	m, err := session.Open(context.Background(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = m.Close() })
	return m
}

// brisk gives every operation on Redis no more than the budget.
func brisk(cfg *session.Config) {
	cfg.Pool = session.PoolLimits{Size: 4, Connect: budget, Timeout: budget}
}

// raw asks Redis, real or embedded, past the Manager.
func (w *world) raw(command string, args ...any) (any, error) {
	if w.redis != nil {
		return w.redis.Do(command, args...)
	}
	conn, err := redis.Dial("unix", filepath.Join(w.cfg.DataDir, "redis.sock"))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.Do(command, args...)
}

// stands reports whether Redis holds the session behind a token.
func (w *world) stands(token string) bool {
	w.t.Helper()
	n, err := redis.Int(w.raw("EXISTS", key(token)))
	if err != nil {
		w.t.Fatal(err)
	}
	return n == 1
}

func hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func key(token string) string { return "holdfast:session:" + hash(token) }

// clock is set by the test.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(by)
}

// logbook keeps what was logged.
type logbook struct {
	mu   sync.Mutex
	said strings.Builder
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.Write(p)
}

func (l *logbook) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.said.String(), text)
}
