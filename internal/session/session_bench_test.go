package session_test

import (
	"context"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/session"
)

// loggedIn returns a Manager on Redis and the token of a logged-in member.
func loggedIn(b *testing.B) (*session.Manager, string) {
	b.Helper()
	w := on(b, onPrivateRedis)
	m := w.open()
	return m, w.browser(m).logIn(w.ada).token
}

// BenchmarkPageViewFromRedis recognises a member and stores nothing, as on
// every page view.
func BenchmarkPageViewFromRedis(b *testing.B) {
	m, token := loggedIn(b)
	b.ReportAllocs()
	for b.Loop() {
		s, err := m.Load(context.Background(), token)
		require.NoError(b, err)
		if _, ok := s.Member(); !ok {
			b.Fatal("not recognised")
		}
		require.NoError(b, m.Commit(s))
	}
}

// BenchmarkChangeInRedis sets one value in a stored session.
func BenchmarkChangeInRedis(b *testing.B) {
	m, token := loggedIn(b)
	values := []string{"green", "blue"}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s, err := m.Load(context.Background(), token)
		require.NoError(b, err)
		require.NoError(b, s.Set("colour", values[i%2]))
		require.NoError(b, m.Commit(s))
	}
}
