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

// patience is long enough for one operation on a busy machine. Tests of how fast
// operations fail use budget instead.
const patience = testkit.Patience

// budget is the time limit of one Redis operation in outage tests.
const budget = 2 * time.Second

// noTime is the zero time, which enables a disabled account again.
var noTime time.Time

// defaults are the limits of tests that do not set others.
var defaults = session.Limits{Idle: time.Hour, Lifetime: 8 * time.Hour, Remember: 30 * 24 * time.Hour}

// world is a session store and the database of people.
type world struct {
	t      testing.TB
	db     *database.DB
	redis  *testservice.RedisServer // nil if there is none
	cfg    config
	clock  *testkit.Clock
	log    testkit.Log
	opened map[*session.Manager]*store.Opened
	ada    session.Member
	grace  session.Member
}

// config configures a Manager and its store.
type config struct {
	session.Config
	store store.Config
	wrap  func(store.Store) store.Store // wraps the Manager's store; nil: no wrapper
}

// on creates a world whose store is set up by with.
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

// parallelOn marks the test as parallel and creates a world for it.
func parallelOn(t *testing.T, with func(w *world)) *world {
	t.Helper()
	t.Parallel()
	return on(t, with)
}

// onRedis uses a database on the Redis server that tests share.
func onRedis(w *world) { w.use(testservice.Redis(w.t)) }

// onPrivateRedis starts a Redis server that only this test uses, so the test may stop
// it, reconfigure it and count its connections.
func onPrivateRedis(w *world) { w.use(testservice.PrivateRedis(w.t)) }

// durable makes a server keep its data when it is stopped or killed. What it wrote
// outlives the process without an fsync, which may take seconds on a busy machine.
var durable = []string{"--appendonly", "yes", "--appendfsync", "no"}

// onDurableRedis is onPrivateRedis with a server that keeps its data.
func onDurableRedis(w *world) { w.use(testservice.PrivateRedis(w.t, durable...)) }

func (w *world) use(server *testservice.RedisServer) {
	w.redis = server
	w.cfg.store.Kind, w.cfg.store.RedisURL = store.KindRedis, server.URL
}

// onEmbedded keeps the data in a directory with a short path: a socket path may have at
// most 103 bytes, and t.TempDir includes the test's name.
func onEmbedded(w *world) {
	w.t.Helper()
	dir, err := os.MkdirTemp("", "")
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w.cfg.store.Kind, w.cfg.store.DataDir = store.KindRedis, dir
}

// files are the stores that keep sessions in files of one process.
var files = map[string]func(*world){"embedded Redis": onEmbedded, "file": onFile}

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

// eachStore runs a test on every store, in parallel with other tests.
func eachStore(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	eachStoreAnd(t, onRedis, test)
}

// eachStoreAnd is eachStore with the given Redis.
func eachStoreAnd(t *testing.T, redis func(*world), test func(t *testing.T, w *world)) {
	t.Helper()
	onEach(t, map[string]func(*world){
		"Redis": redis, "embedded Redis": onEmbedded, "memory": onMemory, "file": onFile, "SQLite": onSQLite, "PostgreSQL": onPostgres,
	}, test)
}

// bothRedis runs a test on a Redis server and on the embedded one, in parallel with
// other tests.
func bothRedis(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	onEach(t, map[string]func(*world){"Redis": onRedis, "embedded Redis": onEmbedded}, test)
}

// onEach runs a test on each of some stores, in parallel with other tests.
func onEach(t *testing.T, stores map[string]func(*world), test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	for name, with := range stores {
		t.Run(name, func(t *testing.T) { test(t, parallelOn(t, with)) })
	}
}

// person adds a person to the database.
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

// open opens a Manager with changes applied to the config.
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

// close closes a Manager's store.
func (w *world) close(m *session.Manager) error { return w.opened[m].Close() }

// advance moves the clock forward and makes all devices older.
func (w *world) advance(by time.Duration) {
	w.t.Helper()
	w.clock.Advance(by)
	w.age(by)
}

// age makes all devices older. The database's clock cannot be set, but the times that
// are compared with it can.
func (w *world) age(by time.Duration) {
	w.t.Helper()
	w.exec(`UPDATE devices SET created_ms = created_ms - $1, deadline_ms = deadline_ms - $1, ended_ms = ended_ms - $1`, by.Milliseconds())
}

// exec changes the database.
func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	_, err := w.db.SQL().Exec(query, args...)
	require.NoError(w.t, err)
}

// revokeAda revokes all sessions of Ada, as an operator does.
func (w *world) revokeAda(m *session.Manager) {
	w.t.Helper()
	_, err := m.RevokeAllOf(context.Background(), w.ada.ID, session.RevokedByOperator)
	require.NoError(w.t, err)
}

// wantListed checks how many devices of Ada are listed.
func (w *world) wantListed(m *session.Manager, want int) {
	w.t.Helper()
	if devices, err := m.Devices(context.Background(), w.ada.ID); err != nil || len(devices) != want {
		w.t.Errorf("listed %+v, %v; want %d", devices, err, want)
	}
}

// brisk limits every Redis operation to budget.
func brisk(cfg *config) {
	cfg.store.Connect, cfg.store.Timeout = budget, budget
}

// steady waits until a Manager's store answers several times in a row.
func (w *world) steady(m *session.Manager) {
	w.t.Helper()
	testkit.Steadily(w.t, patience, "the store answers", func() error { return m.Ping(context.Background()) })
}

// raw sends a command to Redis, real or embedded, bypassing the Manager.
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

// keys returns the number of sessions in Redis.
func (w *world) keys() (int, error) {
	keys, err := redis.Strings(w.raw("KEYS", product.SessionKeys+strings.Repeat("?", 43)))
	return len(keys), err
}

func (w *world) wantKeys(want int) {
	w.t.Helper()
	if n, err := w.keys(); n != want || err != nil {
		w.t.Errorf("%d sessions are stored, %v; want %d", n, err, want)
	}
}

// must sends a command to Redis, which must succeed.
func (w *world) must(command string, args ...any) {
	w.t.Helper()
	_, err := w.raw(command, args...)
	require.NoError(w.t, err)
}

// isStored reports whether Redis holds the session with this token.
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
