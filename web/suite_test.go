package web_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/learn/attack"
	"holdfast/internal/learn/byhand"
	"holdfast/internal/learn/pages"
	"holdfast/internal/learn/trace"
	"holdfast/internal/mail"
	"holdfast/internal/password"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
	"holdfast/internal/throttle"
	"holdfast/web"
)

// stores are where a test site keeps people and sessions.
type stores struct {
	dataDir     string
	databaseURL string // "" for SQLite in dataDir
	redisURL    string // "" for the embedded Redis in dataDir
	redis       *testservice.RedisServer
}

// embedded returns the stores of a machine that has only Go.
func embedded(t testing.TB) stores {
	t.Helper()
	// Not t.TempDir: a longer path would move the socket elsewhere.
	dir, err := os.MkdirTemp("", "hf")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	testkit.CopySQLite(t, dir)
	return stores{dataDir: dir}
}

// services returns databases of the Redis and the PostgreSQL that the tests share.
func services(t testing.TB) stores {
	t.Helper()
	return servicesOf(t, testservice.Redis(t))
}

// privateServices is like services, with a Redis that the test may stop, pause,
// configure or watch.
func privateServices(t testing.TB) stores {
	t.Helper()
	return servicesOf(t, testservice.PrivateRedis(t))
}

func servicesOf(t testing.TB, server *testservice.RedisServer) stores {
	t.Helper()
	return stores{redis: server, redisURL: server.URL, databaseURL: testkit.Postgres(t).URL}
}

// onBothStacks runs a parallel test on a site with the embedded stores and on one with
// the real services.
func onBothStacks(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	onBothStacksWith(t, options{learn: true}, test)
}

// onBothStacksWith is onBothStacks with other options.
func onBothStacksWith(t *testing.T, o options, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	for name, at := range map[string]func(testing.TB) stores{"embedded Redis and SQLite": embedded, "Redis and PostgreSQL": services} {
		t.Run(name, func(t *testing.T) { test(t, parallelWorld(t, at, o)) })
	}
}

type options struct {
	https   bool
	wide    bool   // whether HSTS includes subdomains
	cookie  string // the session cookie's name; "" for the default
	textLog bool
	noLog   bool // for benchmarks
	learn   bool
	store   string // "" for Redis
	mail    bool   // whether mail is on
	slow    bool   // whether attempts are throttled
	trusted []netip.Prefix
	hasher  *password.Hasher // nil for a cheap one
	attacks bool             // whether the lab runs them, or only counts them
	// redisTimeout bounds one operation; 0 for a bound that no busy machine reaches.
	redisTimeout time.Duration
	// guestIdle and guestBytes are limits for guests; 0 for no separate limit.
	guestIdle  time.Duration
	guestBytes int
}

const (
	minPassword   = 15
	sessionIdle   = 24 * time.Hour
	sessionLife   = 7 * 24 * time.Hour
	sessionLonger = 30 * 24 * time.Hour
)

// world is one site on real stores behind a real HTTP server, and what the test knows
// about it.
type world struct {
	t       testing.TB
	options options
	stores  stores
	base    *url.URL
	clock   *testkit.Clock // stopped, so that nothing expires on a slow machine
	log     testkit.Log

	db       *database.DB
	sessions *session.Manager
	store    *store.Opened
	accounts *account.Service
	site     *web.Site
	process  web.Process

	server  *httptest.Server
	handler atomic.Pointer[web.Site]
	secrets secrets
	people  atomic.Int64
	lab     lab
	attacks attacks
	recent  *trace.Recent
	folder  *mail.Folder
	post    *mail.Mailer
	held    sync.Map   // pages that holdPage has checked
	past    redis.Conn // to the session store, bypassing the site
}

// parallelWorld marks the test as parallel and runs a site for it.
func parallelWorld(t *testing.T, at func(testing.TB) stores, o options) *world {
	t.Helper()
	t.Parallel()
	return newWorld(t, at(t), o)
}

// newWorld runs a site until the end of the test. It then searches the whole log for
// passwords and tokens that the test's browsers held.
func newWorld(t testing.TB, at stores, o options) *world {
	t.Helper()
	w := &world{t: t, options: o, stores: at, clock: testkit.StoppedAt(time.Now())}
	w.server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.handler.Load().ServeHTTP(rw, r)
	}))
	w.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	scheme := "http"
	if o.https {
		scheme = "https"
	}
	w.base = &url.URL{Scheme: scheme, Host: w.server.Listener.Addr().String()}
	w.open()
	if o.https {
		w.server.StartTLS()
	} else {
		w.server.Start()
	}
	t.Cleanup(func() {
		w.server.Close()
		w.close()
		for line := range strings.Lines(w.log.String()) {
			w.secrets.notIn(t, "the log line "+line, line)
		}
	})
	return w
}

// open opens the stores and starts a new site on them, as the program does when it
// starts.
func (w *world) open() {
	w.t.Helper()
	ctx := w.t.Context()
	log := slog.New(slog.NewJSONHandler(&w.log, nil))
	switch {
	case w.options.textLog:
		log = slog.New(slog.NewTextHandler(&w.log, nil))
	case w.options.noLog:
		log = slog.New(slog.NewJSONHandler(io.Discard, nil))
	}
	var err error
	w.db, err = database.Open(ctx, database.Config{URL: w.stores.databaseURL, DataDir: w.stores.dataDir, Timeout: testkit.Patience})
	require.NoError(w.t, err)
	w.process = web.Process{ID: os.Getpid(), Started: w.clock.Now()}
	w.process.Start, err = w.db.RecordStart(ctx, database.Start{Instance: "test", Version: "test", At: w.clock.Now()})
	require.NoError(w.t, err)
	connections := &trace.Connections{}
	settings := store.Config{
		Connecting:      connections.Connecting,
		Kind:            cmp.Or(w.options.store, store.KindRedis),
		RedisURL:        w.stores.redisURL,
		DataDir:         w.stores.dataDir,
		Connect:         cmp.Or(2*w.options.redisTimeout, testkit.Patience),
		Timeout:         cmp.Or(w.options.redisTimeout, testkit.Patience),
		RevocationLog:   w.db.Devices(),
		Belongs:         session.Belongs,
		Postgres:        w.db.Pool(),
		SQLite:          w.db.SQL(),
		DatabaseTimeout: testkit.Patience,
		Log:             log,
	}
	w.store, err = store.Open(ctx, settings)
	require.NoError(w.t, err)
	byHand, err := byhand.Of(ctx, settings, w.store)
	require.NoError(w.t, err)
	folder := cmp.Or(w.stores.dataDir, w.t.TempDir())
	w.sessions = session.New(session.Config{
		Store:   w.store,
		Where:   w.store.Where,
		Devices: w.db.Devices(),
		DataDir: folder,
		Limits: session.Limits{
			Idle: sessionIdle, Lifetime: sessionLife, Remember: sessionLonger, Guest: w.options.guestIdle, GuestBytes: w.options.guestBytes,
		},
		Cookie: w.options.cookie,
		Secure: w.options.https,
		Start:  w.process.Start,
		Now:    w.clock.Now,
		Log:    log,
	})
	var limiter *throttle.Limiter
	if w.options.slow {
		limiter = throttle.New(w.db.Tries(), w.clock.Now)
	}
	w.accounts = account.New(account.Config{
		Store: w.db.People(), Throttle: limiter, Hasher: cmp.Or(w.options.hasher, testkit.Hasher()), Policy: password.Policy{MinRunes: minPassword}, Now: w.clock.Now, Log: log,
	})
	w.folder = mail.NewFolder(filepath.Join(folder, "mail"), "Holdfast <holdfast@localhost>", log)
	w.post, err = mail.New(mail.Config{
		Outbox: w.db.Outbox(), Accounts: w.accounts, Transport: w.folder, BaseURL: w.base.String(), Browser: web.BrowserWords, Log: log,
	})
	require.NoError(w.t, err)
	w.attacks.make, w.attacks.Runner = w.options.attacks, attack.New(attack.Config{
		Server: w.base.String(), Accounts: w.accounts, Sessions: w.sessions, Store: w.store, Unslowed: !w.options.slow, Limit: time.Minute, Log: log,
	})
	w.recent = trace.NewRecent()
	extension, err := pages.New(pages.Config{
		Learn: w.options.learn, OneStep: w.store.OneStep, ByHand: byHand, Connections: connections, Recent: w.recent,
		Lab: pages.Lab{Restart: w.lab.restart, Check: &w.lab, Attacks: &w.attacks, Second: secondOf{&w.lab}, Store: w.store},
	})
	require.NoError(w.t, err)
	w.site, err = web.NewSharing(web.Config{
		Accounts:       w.accounts,
		Sessions:       w.sessions,
		Stores:         w.db,
		MailOn:         w.options.mail,
		Mails:          w.folder.Latest,
		Log:            log,
		Now:            w.clock.Now,
		BaseURL:        w.base,
		TrustedProxies: w.options.trusted,
		HSTSSubdomains: w.options.wide,
		MinPassword:    minPassword,
		Embedded:       w.store.Embedded != nil,
		SessionStore:   settings.Kind,
		NamePlaces:     w.options.learn,
		Extensions:     []web.Extension{extension},
		Version:        "test",
		Process:        w.process,
	})
	require.NoError(w.t, err)
	w.handler.Store(w.site)
}

func (w *world) close() {
	if w.past != nil {
		w.past.Close()
	}
	if err := errors.Join(w.store.Close(), w.db.Close()); err != nil {
		w.t.Errorf("close the stores: %v", err)
	}
}

// restart stops the server and starts it again on the same stores.
func (w *world) restart() {
	w.t.Helper()
	w.close()
	w.open()
}

// person is someone with an account, and their password.
type person struct{ id, name, email, password string }

// sharedPassword is every person's password in these tests. It is hashed once, because
// hashing is slow under the race detector.
const sharedPassword = "granite swims seven leagues"

var hashSharedPassword = sync.OnceValues(func() (string, error) {
	return testkit.Hasher().Hash(context.Background(), sharedPassword)
})

// person creates an account without a browser.
func (w *world) person(name string) person {
	w.t.Helper()
	hash, err := hashSharedPassword()
	require.NoError(w.t, err)
	w.secrets.add(sharedPassword)
	n := w.people.Add(1)
	p := person{
		id:       fmt.Sprintf("%022d", n),
		name:     name,
		email:    fmt.Sprintf("person%d@kelp.example", n),
		password: sharedPassword,
	}
	err = w.db.People().Insert(w.t.Context(), account.Record{
		Person:       account.Person{ID: p.id, Name: p.name, Email: p.email, Created: w.clock.Now().Truncate(time.Millisecond)},
		EmailKey:     p.email,
		PasswordHash: hash,
	})
	require.NoError(w.t, err)
	return p
}

// secrets are the passwords and tokens that no page and no log may show.
type secrets struct {
	mu    sync.Mutex
	known map[string]bool
}

func (s *secrets) add(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[string]bool{}
	}
	// A short secret would be found by chance.
	if len(secret) >= minPassword {
		s.known[secret] = true
	}
}

func (s *secrets) notIn(t testing.TB, what, text string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for secret := range s.known {
		if strings.Contains(text, secret) || strings.Contains(text, url.QueryEscape(secret)) {
			t.Errorf("%s shows a password or token: %.60q", what, secret)
		}
	}
}
