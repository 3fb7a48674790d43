package session_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
)

func TestALogInIsRecognisedAndALogOutIsFinal(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		m := w.open()
		ada := w.browser(m).logIn(w.ada)
		if len(ada.token) != 43 || ada.cookie == nil || !ada.cookie.HttpOnly || ada.cookie.SameSite != http.SameSiteLaxMode {
			t.Fatalf("the log-in sent the cookie %+v", ada.cookie)
		}
		s, err := ada.load()
		require.NoError(t, err)
		member, _ := s.Member()
		if member.Name != "Ada" || member.Start != 7 || member.Device == "" || !s.Stored() {
			t.Errorf("recognised %+v", member)
		}
		before := *ada
		ada.do(logOut)
		if ada.token != "" || ada.cookie.MaxAge >= 0 {
			t.Errorf("the log-out sent the cookie %+v, want it cleared", ada.cookie)
		}
		before.wantWho("")
		before.do(logOut) // a double click
	})
}

func TestAGuestCostsNothing(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		guest := w.browser(w.open())
		guest.do(nothing)
		guest.do(func(s *session.Session) error { s.Remove("nothing"); s.TakeFlashes(); return nil })
		if guest.cookie != nil {
			t.Errorf("a guest who only looked has the cookie %v", guest.cookie)
		}
		guest.set("colour", "green")
		if guest.cookie == nil || guest.values()["colour"] != "green" {
			t.Errorf("a guest's value was not kept: cookie %v, values %v", guest.cookie, guest.values())
		}
	})
}

func TestAnInventedTokenIsNeverAdopted(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		m := w.open()
		for _, token := range []string{strings.Repeat("A", 43), strings.Repeat("A", 42), strings.Repeat("!", 43), strings.Repeat("x", 200_000), "\x00"} {
			b := w.browser(m)
			b.token = token
			if b.who() != "" {
				t.Fatalf("%.50q is somebody", token)
			}
			b.logIn(w.ada)
			if b.token == token {
				t.Errorf("%.50q became a session", token)
			}
			planted := w.browser(m)
			planted.token = token
			if who := planted.who(); who != "" {
				t.Errorf("the attacker who planted %.50q is greeted as %q", token, who)
			}
		}
	})
}

func TestEveryLogInHasANewTokenAndTheOldOneDies(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		m := w.open()
		b := w.browser(m)
		b.set("colour", "green")
		guest := *b
		b.logIn(w.ada)
		if b.token == guest.token || guest.values()["colour"] != "" {
			t.Error("the guest's token lives on after the log-in")
		}
		if got := b.values()["colour"]; got != "green" {
			t.Errorf("what the guest put in became %q", got)
		}
		first := *b
		b.logIn(w.ada)
		if b.token == first.token || first.who() != "" || b.values()["colour"] != "green" {
			t.Error("a second log-in of the same person: the old token lives, or values were lost")
		}
		second := *b
		b.logIn(w.grace)
		if second.who() != "" || b.who() != "Grace" || len(b.values()) != 0 {
			t.Errorf("after another person's log-in: old one %q, new one %q with %v", second.who(), b.who(), b.values())
		}
	})
}

func TestOnlyALogInMovesTheDeadline(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		b := w.browser(w.open()).logIn(w.ada)
		begun, _ := b.load()
		w.advance(30 * time.Minute)
		b.set("colour", "green")
		used, _ := b.load()
		if !used.Times().Expires.Equal(begun.Times().Expires) || !used.Times().Created.Equal(begun.Times().Created) {
			t.Errorf("a change moved the deadline from %s to %s", begun.Times().Expires, used.Times().Expires)
		}
		b.logIn(w.ada)
		again, _ := b.load()
		if want := begun.Times().Expires.Add(30 * time.Minute); !again.Times().Expires.Equal(want) {
			t.Errorf("after a log-in the deadline is %s, want %s", again.Times().Expires, want)
		}
	})
}

func TestValuesKeepToTheirLimits(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		b := w.browser(w.open())
		mixed := map[string]string{"k\u00e9y \U0001f41a": "v\u00e4lue <b>", strings.Repeat("\u00fc", 64): strings.Repeat("x", 1024), "empty": ""}
		for key, value := range mixed {
			b.set(key, value)
		}
		if got := b.values(); !maps.Equal(got, mixed) {
			t.Errorf("stored %q, want %q", got, mixed)
		}
		for _, bad := range []struct {
			key, value string
			want       error
		}{
			{"", "x", session.ErrBadKey}, {strings.Repeat("k", 65), "x", session.ErrBadKey}, {"a\nb", "x", session.ErrBadKey},
			{"\xff", "x", session.ErrBadKey}, {"k", strings.Repeat("x", 1025), session.ErrBadValue}, {"k", "\x00", session.ErrBadValue},
			{"k", "\xc3", session.ErrBadValue},
		} {
			mustFail(t, b.try(func(s *session.Session) error { return s.Set(bad.key, bad.value) }), bad.want, "set "+bad.key)
		}
		var full error
		for i := 0; i < 2*session.MaxValues && full == nil; i++ {
			full = b.try(func(s *session.Session) error { return s.Set(strings.Repeat("n", i%60+1)+string(rune('a'+i/60)), "v") })
		}
		mustFail(t, full, session.ErrFull, "one value too many")
	})
}

func TestARequestThatIsNotCommittedChangesNothing(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		b := w.browser(w.open()).logIn(w.ada)
		b.set("colour", "green")
		s, err := b.load()
		require.NoError(t, err)
		require.NoError(t, s.Set("colour", "red"))
		s.Flash("never shown")
		s.LogOut()
		if who := b.who(); who != "Ada" || b.values()["colour"] != "green" {
			t.Errorf("without a commit the session became %q, %v", who, b.values())
		}
	})
}

// TestAnEndedSessionStaysEnded is the deterministic test of the guard: a request loads
// a live session and writes after its revocation.
func TestAnEndedSessionStaysEnded(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		m := w.open()
		for _, end := range endings(w, m) {
			t.Run(end.name, func(t *testing.T) {
				b, other := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.ada)
				old, token := *b, b.token
				late, err := old.load()
				require.NoError(t, err)
				w.advance(2 * time.Minute) // so that even a read stores the last use
				look, err := old.load()
				require.NoError(t, err)
				require.NoError(t, end.act(b, other))
				late.Flash("late")
				mustFail(t, old.finish(late), session.ErrEnded, "a late write")
				if err := old.finish(look); err != nil {
					t.Errorf("a late look: %v", err)
				}
				if old.token != token || old.who() != "" {
					t.Errorf("the ended session is %q again, or a late answer sent a cookie", old.who())
				}
				if end.goesOn != (b.who() == "Ada") {
					t.Errorf("afterwards the browser is greeted as %q", b.who())
				}
			})
		}
	})
}

func TestACommitWithoutTheStoreNamesIt(t *testing.T) {
	eachStoreAnd(t, onPrivateRedis, func(t *testing.T, w *world) {
		m := w.open()
		b := w.browser(m).logIn(w.ada)
		require.NoError(t, m.Ping(context.Background()))
		if w.cfg.store.Kind == store.KindMemory {
			t.Skip("memory cannot be away")
		}
		s, err := b.load()
		require.NoError(t, err)
		w.away(m)
		s.Flash("kept?")
		mustFail(t, b.m.Commit(s), session.ErrUnavailable, "commit")
		_, err = b.load()
		mustFail(t, err, session.ErrUnavailable, "load")
		mustFail(t, m.Ping(context.Background()), session.ErrUnavailable, "ping")
	})
}

// away makes a Manager's store unavailable.
func (w *world) away(m *session.Manager) {
	w.t.Helper()
	switch {
	case w.redis != nil:
		w.redis.Kill()
	case w.cfg.store.Kind == store.KindDatabase:
		require.NoError(w.t, w.db.Close())
	default:
		if err := w.close(m); err != nil && !errors.Is(err, context.Canceled) {
			w.t.Fatal(err)
		}
	}
}
