package session_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/session"
	"holdfast/internal/text"
)

// browser simulates a browser with a session cookie.
type browser struct {
	t      testing.TB
	m      *session.Manager
	token  string
	cookie *http.Cookie // the last one the server sent
}

func (w *world) browser(m *session.Manager) *browser { return &browser{t: w.t, m: m} }

// at returns the same browser at another Manager.
func (b *browser) at(m *session.Manager) *browser {
	other := *b
	other.m = m
	return &other
}

// load begins a request.
func (b *browser) load() (*session.Session, error) { return b.m.Load(context.Background(), b.token) }

// finish ends a request: it commits, and stores the cookie as the response sets it.
func (b *browser) finish(s *session.Session) error {
	if err := b.m.Commit(s); err != nil {
		return err
	}
	answer := httptest.NewRecorder()
	b.m.WriteCookie(answer, s)
	for _, cookie := range answer.Result().Cookies() {
		b.token, b.cookie = cookie.Value, cookie
	}
	return nil
}

// try makes one request that calls act.
func (b *browser) try(act func(*session.Session) error) error {
	s, err := b.load()
	if err != nil {
		return err
	}
	if err := act(s); err != nil {
		return err
	}
	return b.finish(s)
}

// do makes one request, which must succeed.
func (b *browser) do(act func(*session.Session) error) {
	b.t.Helper()
	require.NoError(b.t, b.try(act))
}

var laptop = text.Sender{UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", Address: "192.0.2.7"}

func (b *browser) logIn(member session.Member) *browser {
	b.t.Helper()
	b.do(logIn(member))
	return b
}

func (b *browser) set(key, value string) {
	b.t.Helper()
	b.do(func(s *session.Session) error { return s.Set(key, value) })
}

// who returns the name this browser is greeted by, or "" for a guest.
func (b *browser) who() string {
	b.t.Helper()
	s, err := b.load()
	require.NoError(b.t, err)
	member, _ := s.Member()
	return member.Name
}

// wantWho checks by which name this browser is greeted; "" is a guest.
func (b *browser) wantWho(want string) {
	b.t.Helper()
	if who := b.who(); who != want {
		b.t.Errorf("greeted as %q, want %q", who, want)
	}
}

func (b *browser) values() map[string]string {
	b.t.Helper()
	s, err := b.load()
	require.NoError(b.t, err)
	return s.Values()
}

// device returns the ID of this browser's device.
func (b *browser) device() string {
	b.t.Helper()
	s, err := b.load()
	require.NoError(b.t, err)
	member, ok := s.Member()
	if !ok {
		b.t.Fatal("a guest has no device")
	}
	return member.Device
}

// wantPast checks why the only past session of this person was revoked.
func (b *browser) wantPast(why session.RevokeReason) {
	b.t.Helper()
	s, err := b.load()
	require.NoError(b.t, err)
	past, err := s.PastDevices(context.Background(), session.Device{}, 0, 10)
	if err != nil || len(past) != 1 || past[0].RevokeReason != why {
		b.t.Errorf("past sessions are %+v, %v; want one: %s", past, err, why)
	}
}

// nothing is a request that changes nothing.
func nothing(*session.Session) error { return nil }

func logOut(s *session.Session) error { s.LogOut(); return nil }

func logIn(member session.Member) func(*session.Session) error {
	return func(s *session.Session) error { s.PrepareLogIn(member, laptop); return nil }
}

func revokeOthers(s *session.Session) error {
	_, err := s.RevokeOthers(context.Background())
	return err
}

func mustFail(t testing.TB, err, want error, what string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}
