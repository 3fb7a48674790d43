package session_test

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/testservice"
	"holdfast/internal/learn/byhand"
	"holdfast/internal/learn/trace"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
)

// watch makes one request that somebody watches, and returns its steps and its
// session.
func (b *browser) watch(act func(*session.Session) error) ([]trace.Step, *session.Session) {
	b.t.Helper()
	rec := trace.New(true)
	s, err := b.m.Load(trace.With(context.Background(), rec), b.token)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := act(s); err != nil {
		b.t.Fatal(err)
	}
	if err := b.finish(s); err != nil {
		b.t.Fatal(err)
	}
	return rec.Attempt(), s
}

// one returns the only step of its kind.
func one[T trace.What](t *testing.T, steps []trace.Step) T {
	t.Helper()
	var found []T
	for _, s := range steps {
		if what, ok := s.What.(T); ok {
			found = append(found, what)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d steps of a kind in %+v", len(found), steps)
	}
	return found[0]
}

func TestWhatARequestDidIsToldTheSameOnEveryStore(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		b := w.browser(w.open()).logIn(w.ada)
		steps, s := b.watch(nothing)
		read := one[trace.Operation](t, steps)
		if !read.Found || read.Size != len(read.Bytes) || !strings.Contains(string(read.Bytes), `"name":"Ada"`) || !strings.HasSuffix(read.Text, hash(b.token)) {
			t.Errorf("the look into the store is told as %+v", read)
		}
		if found := s.Lookup(); found.Reason != "" || found.Record.Member.Name != "Ada" || found.CheckedAt.IsZero() {
			t.Errorf("how the sender was found is told as %+v", found)
		}
		act := func(what string, want session.Act, do func(*session.Session) error) {
			t.Helper()
			before := hash(b.token)
			_, s := b.watch(do)
			o := s.Outcome()
			after := hash(b.token)
			if want == session.Ended {
				after = ""
			}
			if o.Act != want || o.OldKey != before || o.Key != after {
				t.Errorf("%s led from %q to %q, and is told as %+v", what, before, after, o)
			}
		}
		act("a look", session.Looked, nothing)
		act("a value", session.Stored, func(s *session.Session) error { return s.Set("colour", "green") })
		act("a flash", session.Stored, func(s *session.Session) error { s.Flash("Hello."); return nil })
		w.advance(2 * time.Minute)
		act("a visit", session.Touched, nothing)
		act("a log-in", session.LoggedIn, func(s *session.Session) error { s.LogIn(w.grace, laptop); return nil })
		act("a log-out", session.Ended, logOut)
		b.token = ""
		if _, s := b.watch(nothing); s.Outcome().Act != session.Nobody || s.Lookup().Reason != session.NoToken {
			t.Errorf("a guest is told as %+v, %+v", s.Lookup(), s.Outcome())
		}
	})
}

func TestACommitIsMadeOnce(t *testing.T) {
	bothRedis(t, func(t *testing.T, w *world) {
		m := w.open()
		b := w.browser(m).logIn(w.ada)
		s, err := b.load()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Set("colour", "green"); err != nil {
			t.Fatal(err)
		}
		if err := m.Commit(s); err != nil {
			t.Fatal(err)
		}
		b.set("colour", "blue")
		if err := b.finish(s); err != nil { // commits again, and writes the cookie
			t.Fatal(err)
		}
		if got := b.values()["colour"]; got != "blue" {
			t.Errorf("the second commit stored %q again", got)
		}
	})
}

func TestACookieGoesOutOnce(t *testing.T) {
	t.Parallel()
	w := on(t, onMemory)
	m := w.open()
	b := w.browser(m)
	s, err := b.load()
	if err != nil {
		t.Fatal(err)
	}
	s.LogIn(w.ada, laptop)
	if err := b.finish(s); err != nil {
		t.Fatal(err)
	}
	b.cookie = nil
	if err := b.finish(s); err != nil {
		t.Fatal(err)
	}
	if b.cookie != nil {
		t.Errorf("sent again: %s", b.cookie)
	}
}

// TestTheLinesPastTheServerWork runs what ByHand offers on every store that
// can be looked at from outside.
func TestTheLinesPastTheServerWork(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		m := w.open()
		b := w.browser(m).logIn(w.ada)
		steps, _ := b.watch(nothing)
		stored := string(one[trace.Operation](t, steps).Bytes)
		lines, err := byhand.Of(context.Background(), w.cfg.store, w.opened[m])
		if err != nil {
			t.Fatal(err)
		}
		by := lines(hash(b.token))
		if w.cfg.store.Kind == store.KindMemory || w.cfg.store.Kind == store.KindFile {
			if by.Read != "" || by.Why == "" {
				t.Errorf("nobody can look there, but: %+v", by)
			}
			return
		}
		program, _, _ := strings.Cut(by.Read, " ")
		path := testservice.Program(t, program)
		run := func(line string) string {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, testservice.Program(t, "bash"), "-c", strings.Replace(line, program, path, 1))
			if w.cfg.store.Postgres != nil { // psql asks for it, as the page says
				cmd.Env = append(cmd.Environ(), "PGPASSWORD="+w.cfg.store.Postgres.Config().ConnConfig.Password)
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v", line, err)
			}
			return strings.TrimSpace(string(out))
		}
		if got := run(by.Read); got != stored {
			t.Errorf("%s\nprints %q\nstored is %q", by.Read, got, stored)
		}
		if got := run(by.Size); got != strconv.Itoa(len(stored)) {
			t.Errorf("%s\nprints %q", by.Size, got)
		}
		left, err := strconv.Atoi(run(by.Left))
		if err != nil || left > int(defaults.Idle.Seconds()) || left < int(defaults.Idle.Seconds())-60 {
			t.Errorf("%s\nprints %d (%v)", by.Left, left, err)
		}
	})
}
