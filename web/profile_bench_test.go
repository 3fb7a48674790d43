package web_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/password"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
	"holdfast/web"
)

// benchSite is a site that greets from a Redis of its own.
func benchSite(b *testing.B, learn bool) *web.Site {
	b.Helper()
	ctx := context.Background()
	log := slog.New(slog.NewJSONHandler(io.Discard, nil))
	db, err := database.Open(ctx, database.Config{DataDir: b.TempDir(), Timeout: 5 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	if _, err := db.Migrate(ctx); err != nil {
		b.Fatal(err)
	}
	opened, err := store.Open(ctx, store.Config{
		Kind: store.KindRedis, RedisURL: testservice.PrivateRedis(b).URL, Connect: time.Second, Timeout: time.Second,
		Endings: db.Devices(), Belongs: session.Belongs, Log: log,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = opened.Close() })
	sessions := session.New(session.Config{
		Store:   opened,
		Where:   opened.Where,
		Devices: db.Devices(),
		Limits:  session.Limits{Idle: 24 * time.Hour, Lifetime: 7 * 24 * time.Hour, Remember: 30 * 24 * time.Hour},
		Start:   1,
		Log:     log,
	})
	policy := password.Policy{MinRunes: 15}
	site, err := web.New(web.Config{
		Accounts:    account.New(db.People(), password.NewHasher(password.DefaultCost(), 1, time.Minute), policy, time.Now),
		Sessions:    sessions,
		Ready:       db.Ping,
		Log:         log,
		Now:         time.Now,
		BaseURL:     &url.URL{Scheme: "http", Host: "localhost:3000"},
		MinPassword: policy.MinRunes,
		RememberFor: 30 * 24 * time.Hour,
		Learn:       learn,
		Version:     "dev",
		Process:     web.Process{ID: 4242, Start: 1, Started: time.Now()},
	})
	if err != nil {
		b.Fatal(err)
	}
	return site
}

// BenchmarkProfileFromRedis is one whole request for the page that greets a
// person: everything but the network between browser and server.
func BenchmarkProfileFromRedis(b *testing.B) { benchProfile(b, false) }

// BenchmarkWatchedProfileFromRedis is the same with LEARN: what it costs to keep
// what was done for each request.
func BenchmarkWatchedProfileFromRedis(b *testing.B) { benchProfile(b, true) }

func benchProfile(b *testing.B, learn bool) {
	site := benchSite(b, learn)
	sent := url.Values{"name": {"Ada Lovelace"}, "email": {"ada@example.org"}, "password": {"nine kelp forests at dawn"}}
	register := httptest.NewRequest(http.MethodPost, "/register", strings.NewReader(sent.Encode()))
	register.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	registered := httptest.NewRecorder()
	site.ServeHTTP(registered, register)
	if registered.Code != http.StatusSeeOther {
		b.Fatalf("register: status %d", registered.Code)
	}
	request := httptest.NewRequest(http.MethodGet, "/profile", nil)
	request.AddCookie(registered.Result().Cookies()[0])
	b.ReportAllocs()
	for b.Loop() {
		answer := discardedAnswer{header: http.Header{}}
		site.ServeHTTP(&answer, request)
		if answer.status != http.StatusOK {
			b.Fatalf("status %d", answer.status)
		}
	}
}

// discardedAnswer costs as little as a response writer can.
type discardedAnswer struct {
	header http.Header
	status int
}

func (d *discardedAnswer) Header() http.Header         { return d.header }
func (d *discardedAnswer) WriteHeader(status int)      { d.status = status }
func (d *discardedAnswer) Write(p []byte) (int, error) { return len(p), nil }
