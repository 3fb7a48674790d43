package session_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/password"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
)

// loggedIn is a Manager on a Redis of its own, and the token of a person who is
// logged in there.
func loggedIn(b *testing.B) (*session.Manager, string) {
	b.Helper()
	ctx := context.Background()
	db := testkit.OpenDatabase(b, testkit.SQLite(b))
	people := account.New(db.People(), password.NewHasher(password.DefaultCost(), 1, time.Minute), password.Policy{MinRunes: 15}, time.Now)
	person, err := people.Register(ctx, account.Registration{
		Name: "Ada Lovelace", Email: "ada@example.org", Password: "nine kelp forests at dawn",
	})
	if err != nil {
		b.Fatal(err)
	}
	opened, err := store.Open(ctx, store.Config{
		Kind: store.KindRedis, RedisURL: testservice.Redis(b).URL, Connect: time.Second, Timeout: time.Second,
		Endings: db.Devices(), Belongs: session.Belongs, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = opened.Close() })
	m := session.New(session.Config{
		Store:   opened,
		Limits:  session.Limits{Idle: 24 * time.Hour, Lifetime: 7 * 24 * time.Hour, Remember: 30 * 24 * time.Hour},
		Devices: db.Devices(),
		Start:   1,
		Log:     slog.New(slog.DiscardHandler),
	})
	s, err := m.Load(ctx, "")
	if err != nil {
		b.Fatal(err)
	}
	s.LogIn(session.Member{ID: person.ID, Name: person.Name}, session.Sender{})
	if err := m.Commit(s); err != nil {
		b.Fatal(err)
	}
	answer := httptest.NewRecorder()
	m.WriteCookie(answer, s)
	return m, answer.Result().Cookies()[0].Value
}

// BenchmarkPageViewFromRedis recognises a member and stores nothing, as on
// every page view.
func BenchmarkPageViewFromRedis(b *testing.B) {
	m, token := loggedIn(b)
	b.ReportAllocs()
	for b.Loop() {
		s, err := m.Load(context.Background(), token)
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := s.Member(); !ok {
			b.Fatal("not recognised")
		}
		if err := m.Commit(s); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkChangeInRedis sets one value in a stored session.
func BenchmarkChangeInRedis(b *testing.B) {
	m, token := loggedIn(b)
	values := []string{"green", "blue"}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s, err := m.Load(context.Background(), token)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Set("colour", values[i%2]); err != nil {
			b.Fatal(err)
		}
		if err := m.Commit(s); err != nil {
			b.Fatal(err)
		}
	}
}
