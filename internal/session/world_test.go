package session_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/product"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
)

// patience is time enough for one operation on a machine that is busy; how
// fast things fail is tested where budget is used instead.
const patience = testkit.Patience

// budget is the whole time one operation on Redis gets in tests of outages.
const budget = time.Second

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
	clock  *testkit.Clock
	log    testkit.Log
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
	w := &world{t: t, clock: testkit.StoppedAt(time.Now().Truncate(time.Millisecond).UTC()), opened: map[*session.Manager]*store.Opened{}}
	log := w.log.Logger()
	w.cfg = config{
		Config: session.Config{Limits: defaults, Start: 7, Now: w.clock.Now, Log: log},
		store:  store.Config{Connect: patience, Timeout: patience, DatabaseTimeout: patience, Belongs: session.Belongs, Log: log},
	}
	with(w)
	w.cfg.DataDir = t.TempDir()
	if w.db == nil {
		w.db = testkit.OpenDatabase(t, testkit.SQLite(t))
	}
	w.cfg.Devices = w.db.Devices()
	w.ada, w.grace = w.person("Ada"), w.person("Grace")
	return w
}

// onRedis gives a world a database on the server that tests share.
func onRedis(w *world) { w.use(testservice.Redis(w.t)) }

// onPrivateRedis gives a world a server that it may stop, change and count on.
func onPrivateRedis(w *world) { w.use(testservice.PrivateRedis(w.t)) }

// durable has a server keep its data when it is stopped or killed. What it wrote
// outlives its process without a sync to the disk, which may take seconds on a
// busy machine.
var durable = []string{"--appendonly", "yes", "--appendfsync", "no"}

// onDurableRedis is onPrivateRedis with a server that keeps its data.
func onDurableRedis(w *world) { w.use(testservice.PrivateRedis(w.t, durable...)) }

func (w *world) use(server *testservice.RedisServer) {
	w.redis = server
	w.cfg.store.Kind, w.cfg.store.RedisURL = store.KindRedis, server.URL
}

// onEmbedded keeps data in a folder with a short path: t.TempDir has the test's
// name in it, and a socket's path may have 103 bytes.
func onEmbedded(w *world) {
	w.t.Helper()
	dir, err := os.MkdirTemp("", "")
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w.cfg.store.Kind, w.cfg.store.DataDir = store.KindRedis, dir
}

func onMemory(w *world) { w.cfg.store.Kind = store.KindMemory }
func onFile(w *world)   { w.cfg.store.Kind, w.cfg.store.DataDir = store.KindFile, w.t.TempDir() }

func onSQLite(w *world) {
	w.db = testkit.OpenDatabase(w.t, testkit.SQLite(w.t))
	w.cfg.store.Kind, w.cfg.store.SQLite = store.KindDatabase, w.db.SQL()
}

func onPostgres(w *world) {
	w.db = testkit.OpenDatabase(w.t, testkit.Postgres(w.t))
	w.cfg.store.Kind, w.cfg.store.Postgres = store.KindDatabase, w.db.Pool()
}

// onRedisAndPostgres puts sessions into Redis and people into PostgreSQL.
func onRedisAndPostgres(w *world) {
	onRedis(w)
	w.db = testkit.OpenDatabase(w.t, testkit.Postgres(w.t))
}

// eachStore runs a test on every place a session can lie, in parallel with others.
func eachStore(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	eachStoreAnd(t, onRedis, test)
}

// eachStoreAnd is eachStore with this Redis.
func eachStoreAnd(t *testing.T, redis func(*world), test func(t *testing.T, w *world)) {
	t.Parallel()
	for _, store := range []struct {
		name string
		with func(*world)
	}{
		{"Redis", redis}, {"embedded Redis", onEmbedded}, {"memory", onMemory}, {"file", onFile},
		{"SQLite", onSQLite}, {"PostgreSQL", onPostgres},
	} {
		t.Run(store.name, func(t *testing.T) {
			t.Parallel()
			test(t, on(t, store.with))
		})
	}
}

// bothRedis runs a test on a Redis server and on the embedded one, in parallel
// with others.
func bothRedis(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	for name, with := range map[string]func(*world){"Redis": onRedis, "embedded Redis": onEmbedded} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, on(t, with))
		})
	}
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
	require.NoError(w.t, err)
	return session.Member{ID: id, Name: name}
}

// open opens a Manager with these changes to the settings.
func (w *world) open(changes ...func(*config)) *session.Manager {
	w.t.Helper()
	cfg := w.cfg
	for _, change := range changes {
		change(&cfg)
	}
	cfg.store.RevocationLog = session.RevocationLog(cfg.Devices, cfg.DataDir)
	var opened *store.Opened
	testkit.Eventually(w.t, patience, "open the store", func() (err error) {
		opened, err = store.Open(context.Background(), cfg.store)
		return err
	})
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

// advance puts the clock forward, and makes all devices older.
func (w *world) advance(by time.Duration) {
	w.t.Helper()
	w.clock.Advance(by)
	w.age(by)
}

// age makes all devices older: the database's clock cannot be set, but what is
// compared with it can.
func (w *world) age(by time.Duration) {
	w.t.Helper()
	_, err := w.db.SQL().Exec(`UPDATE devices SET created_ms = created_ms - $1, deadline_ms = deadline_ms - $1, ended_ms = ended_ms - $1`, by.Milliseconds())
	require.NoError(w.t, err)
}

// brisk gives every operation on Redis no more than the budget.
func brisk(cfg *config) {
	cfg.store.Connect, cfg.store.Timeout = budget, budget
}

// steady waits until a Manager has a store that answers, and goes on answering.
func (w *world) steady(m *session.Manager) {
	w.t.Helper()
	testkit.Steadily(w.t, patience, "the store answers", func() error { return m.Ping(context.Background()) })
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

// isStored reports whether Redis holds the session behind a token.
func (w *world) isStored(token string) bool {
	w.t.Helper()
	n, err := redis.Int(w.raw("EXISTS", key(token)))
	require.NoError(w.t, err)
	return n == 1
}

func hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func key(token string) string { return product.SessionKeys + hash(token) }
