package session_test

import (
	"context"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/testservice"
	"holdfast/internal/learn/trace"
	"holdfast/internal/session"
)

// watch makes one request that somebody watches, and returns its steps.
func (b *browser) watch(act func(*session.Session) error) []trace.Step {
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
	return rec.Attempt()
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

func TestAWatchedRequestIsToldTheSameOnEveryStore(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		b := w.browser(w.open()).logIn(w.ada)
		looked := b.watch(nothing)
		if key := one[trace.Hash](t, looked).Key; key != hash(b.token) {
			t.Errorf("the key is told as %s", key)
		}
		read := one[trace.Operation](t, looked)
		if !read.Found || read.Size != len(read.Bytes) || !strings.Contains(string(read.Bytes), `"name":"Ada"`) || !strings.HasSuffix(read.Text, hash(b.token)) {
			t.Errorf("the look into the store is told as %+v", read)
		}
		if who := one[trace.Recognised](t, looked); who.Name != "Ada" || who.Key != hash(b.token) {
			t.Errorf("who it is is told as %+v", who)
		}
		if check := one[trace.Check](t, looked); !check.Live || !check.IdleEnd.Equal(check.Seen.Add(defaults.Idle)) {
			t.Errorf("the check is told as %+v", check)
		}
		if c := one[trace.Commit](t, looked); c.Act != trace.Looked || c.Changed() {
			t.Errorf("the end is told as %+v", c)
		}

		act := func(what string, want trace.Act, changes []string, do func(*session.Session) error) {
			t.Helper()
			before := hash(b.token)
			c := one[trace.Commit](t, b.watch(do))
			if c.Act != want || !slices.Equal(c.Changes, changes) {
				t.Errorf("%s is told as %+v", what, c)
			}
			after := hash(b.token)
			if want == trace.Ended {
				after = ""
			}
			if c.Key != after || after != before && c.Before != before {
				t.Errorf("%s led from %q to %q, and is told as %+v", what, before, after, c)
			}
		}
		act("a value", trace.Stored, []string{"set colour"}, func(s *session.Session) error { return s.Set("colour", "green") })
		act("a notice", trace.Stored, []string{"left a notice for the next page"}, func(s *session.Session) error { s.Flash("Hello."); return nil })
		act("its showing", trace.Stored, []string{"removed colour", "showed a notice"}, func(s *session.Session) error {
			s.TakeNotices()
			s.Remove("colour")
			return nil
		})
		act("a renewal", trace.Renewed, []string{"given a new token"}, renew)
		w.clock.advance(2 * time.Minute)
		act("a visit", trace.Touched, []string{"noted its last use"}, nothing)
		act("a log-in", trace.LoggedIn, []string{"logged in, with a new token"}, func(s *session.Session) error { s.LogIn(w.grace, laptop); return nil })
		act("a log-out", trace.Ended, []string{"logged out"}, logOut)
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
		stored := string(one[trace.Operation](t, b.watch(nothing)).Bytes)
		by := m.ByHand(hash(b.token))
		if w.cfg.Store == session.StoreMemory || w.cfg.Store == session.StoreFile {
			if by.Read != "" || by.Why == "" {
				t.Errorf("nobody can look there, but: %+v", by)
			}
			return
		}
		program, _, _ := strings.Cut(by.Read, " ")
		if program == "sqlite3" {
			if _, err := exec.LookPath(program); err != nil {
				t.Skip("sqlite3 is not installed")
			}
		}
		path := testservice.Program(t, program)
		run := func(line string) string {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, testservice.Program(t, "bash"), "-c", strings.Replace(line, program, path, 1))
			if w.cfg.Postgres != nil { // psql asks for it, as the page says
				cmd.Env = append(cmd.Environ(), "PGPASSWORD="+w.cfg.Postgres.Config().ConnConfig.Password)
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

func TestNoLineShowsAPassword(t *testing.T) {
	for url, want := range map[string]string{
		"redis://10.0.0.7":                        "redis-cli -h 10.0.0.7 -p 6379 GET ",
		"redis://localhost:6380/3":                "redis-cli -h localhost -p 6380 -n 3 GET ",
		"redis://:basalt@localhost/0":             "redis-cli -h localhost -p 6379 --askpass GET ",
		"rediss://limpet:basalt@cache.example/12": "redis-cli --tls -h cache.example -p 6379 -n 12 --user limpet --askpass GET ",
		"redis://[::1]:6379":                      "redis-cli -h ::1 -p 6379 GET ",
	} {
		by, err := session.ByHandAt(url, "key")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(by.Read, want) || strings.Contains(by.Read+by.Size+by.Left+by.Why, "basalt") {
			t.Errorf("%s: %+v, want %s…", url, by, want)
		}
	}
}
