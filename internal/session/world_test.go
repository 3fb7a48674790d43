package session_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/product"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
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
	t      testing.TB
	db     *database.DB
	redis  *testservice.RedisServer // nil where there is none
	cfg    config
	clock  *clock
	log    *logbook
	opened map[*session.Manager]*store.Opened
	ada    session.Member
	grace  session.Member
}

// config is what a Manager and its store are made of.
type config struct {
	session.Config
	store store.Config
	wrap  func(store.Store) store.Store // what the Manager sees of its store; nil: all of it
}

// on makes a world; with what, the settings of its store.
func on(t testing.TB, with func(w *world)) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{at: time.Now().Truncate(time.Millisecond).UTC()}, log: &logbook{}, opened: map[*session.Manager]*store.Opened{}}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	w.cfg = config{
		Config: session.Config{Limits: defaults, Start: 7, Now: w.clock.Now, Log: log},
		store:  store.Config{Connect: patience, Timeout: patience, DatabaseTimeout: patience, Belongs: session.Belongs, Log: log},
	}
	with(w)
	w.cfg.DataDir = t.TempDir()
	if w.db == nil {
		w.database(database.Config{DataDir: t.TempDir()})
	}
	w.cfg.Devices = w.db.Devices()
	w.clock.advanced = w.age
	w.ada, w.grace = w.person("Ada"), w.person("Grace")
	return w
}

func onRedis(w *world) { w.onRedis() }

func (w *world) onRedis(args ...string) {
	w.redis = testservice.PrivateRedis(w.t, args...)
	w.cfg.store.Kind, w.cfg.store.RedisURL = store.KindRedis, w.redis.URL
}

// onEmbedded keeps data in a folder with a short path: t.TempDir has the test's
// name in it, and a socket's path may have 103 bytes.
func onEmbedded(w *world) {
	w.t.Helper()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w.cfg.store.Kind, w.cfg.store.DataDir = store.KindRedis, dir
}

func onMemory(w *world) { w.cfg.store.Kind = store.KindMemory }
func onFile(w *world)   { w.cfg.store.Kind, w.cfg.store.DataDir = store.KindFile, w.t.TempDir() }

func onSQLite(w *world) {
	w.database(database.Config{DataDir: w.t.TempDir()})
	w.cfg.store.Kind, w.cfg.store.SQLite = store.KindDatabase, w.db.SQL()
}

func onPostgres(w *world) {
	w.database(database.Config{URL: testservice.Postgres(w.t).URL})
	w.cfg.store.Kind, w.cfg.store.Postgres = store.KindDatabase, w.db.Pool()
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
func (w *world) open(changes ...func(*config)) *session.Manager {
	w.t.Helper()
	cfg := w.cfg
	for _, change := range changes {
		change(&cfg)
	}
	cfg.store.Endings = session.Endings(cfg.Devices, cfg.DataDir)
	opened, err := store.Open(context.Background(), cfg.store)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg.Store, cfg.Where = opened, opened.Where
	if cfg.wrap != nil {
		cfg.Store = cfg.wrap(opened)
	}
	m := session.New(cfg.Config)
	w.opened[m] = opened
	w.t.Cleanup(func() { _ = opened.Close() })
	return m
}

// close closes the store of a Manager.
func (w *world) close(m *session.Manager) error { return w.opened[m].Close() }

// age makes all devices older: the database's clock cannot be set, but what is
// compared with it can.
func (w *world) age(by time.Duration) {
	w.t.Helper()
	_, err := w.db.SQL().Exec(`UPDATE devices SET created_ms = created_ms - $1, deadline_ms = deadline_ms - $1, ended_ms = ended_ms - $1`, by.Milliseconds())
	if err != nil {
		w.t.Fatal(err)
	}
}

// brisk gives every operation on Redis no more than the budget.
func brisk(cfg *config) {
	cfg.store.Connect, cfg.store.Timeout = budget, budget
}

// raw asks Redis, real or embedded, past the Manager.
func (w *world) raw(command string, args ...any) (any, error) {
	if w.redis != nil {
		return w.redis.Do(command, args...)
	}
	conn, err := redis.Dial("unix", filepath.Join(w.cfg.store.DataDir, "redis.sock"))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.Do(command, args...)
}

// keys is how many sessions Redis holds.
func (w *world) keys() (int, error) {
	keys, err := redis.Strings(w.raw("KEYS", product.SessionKeys+strings.Repeat("?", 43)))
	return len(keys), err
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

func key(token string) string { return product.SessionKeys + hash(token) }

// clock is set by the test.
type clock struct {
	mu       sync.Mutex
	at       time.Time
	advanced func(by time.Duration)
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(by time.Duration) {
	c.mu.Lock()
	c.at = c.at.Add(by)
	c.mu.Unlock()
	c.advanced(by)
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
