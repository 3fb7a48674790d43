package session_test

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/learn/byhand"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
)

// traced returns a context with t. Missing callbacks do nothing.
func traced(t session.Trace) context.Context {
	if t.GotToken == nil {
		t.GotToken = func(string) {}
	}
	if t.Found == nil {
		t.Found = func(session.Record, session.Limits, time.Time) {}
	}
	if t.Loaded == nil {
		t.Loaded = func(*session.Session, session.Reason) {}
	}
	if t.Committed == nil {
		t.Committed = func(session.Outcome) {}
	}
	return session.WithTrace(context.Background(), &t)
}

// observed holds the arguments of the trace callbacks of one request.
type observed struct {
	token      string
	record     session.Record
	reason     session.Reason
	outcome    session.Outcome
	operations []store.Operation
}

// watch makes one traced request.
func (b *browser) watch(act func(*session.Session) error) (seen observed) {
	b.t.Helper()
	ctx := store.WithTrace(traced(session.Trace{
		GotToken:  func(token string) { seen.token = token },
		Found:     func(r session.Record, _ session.Limits, _ time.Time) { seen.record = r },
		Loaded:    func(_ *session.Session, why session.Reason) { seen.reason = why },
		Committed: func(o session.Outcome) { seen.outcome = o },
	}), &store.Trace{Ran: func(op store.Operation) { seen.operations = append(seen.operations, op) }})
	s, err := b.m.Load(ctx, b.token)
	require.NoError(b.t, err)
	require.NoError(b.t, act(s))
	require.NoError(b.t, b.finish(s))
	return seen
}

func TestWhatARequestDidIsReportedTheSameOnEveryStore(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		b := w.browser(w.open()).logIn(w.ada)
		seen := b.watch(nothing)
		if len(seen.operations) != 1 {
			t.Fatalf("operations %+v", seen.operations)
		}
		read := seen.operations[0]
		if !strings.Contains(string(read.Value), `"name":"Ada"`) || !strings.HasSuffix(fmt.Sprint(read.Args), hash(b.token)+"]") || read.Began.IsZero() || read.Err != nil {
			t.Errorf("the read is reported as %+v", read)
		}
		if seen.token != b.token || seen.reason != "" || seen.record.Member.Name != "Ada" {
			t.Errorf("the session is reported as %+v", seen)
		}
		act := func(what string, want session.Act, do func(*session.Session) error) {
			t.Helper()
			before := hash(b.token)
			o := b.watch(do).outcome
			after := hash(b.token)
			if want == session.Ended {
				after = ""
			}
			if o.Act != want || o.OldKey != before || o.Key != after {
				t.Errorf("%s led from %q to %q, and is reported as %+v", what, before, after, o)
			}
		}
		act("a look", session.Looked, nothing)
		act("a value", session.Stored, func(s *session.Session) error { return s.Set("colour", "green") })
		act("a flash", session.Stored, func(s *session.Session) error { s.Flash("Hello."); return nil })
		w.advance(2 * time.Minute)
		act("a visit", session.Touched, nothing)
		act("a log-in", session.LoggedIn, logIn(w.grace))
		act("a log-out", session.Ended, logOut)
		b.token = ""
		if seen := b.watch(nothing); seen.outcome.Act != session.NoSession || seen.reason != session.NoToken {
			t.Errorf("a guest is reported as %+v", seen)
		}
	})
}

func TestACommitIsMadeOnce(t *testing.T) {
	bothRedis(t, func(t *testing.T, w *world) {
		m := w.open()
		b := w.browser(m).logIn(w.ada)
		s, err := b.load()
		require.NoError(t, err)
		require.NoError(t, s.Set("colour", "green"))
		require.NoError(t, m.Commit(s))
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
	w := parallelOn(t, onMemory)
	m := w.open()
	b := w.browser(m)
	s, err := b.load()
	require.NoError(t, err)
	s.PrepareLogIn(w.ada, laptop)
	require.NoError(t, b.finish(s))
	b.cookie = nil
	require.NoError(t, b.finish(s))
	if b.cookie != nil {
		t.Errorf("sent again: %s", b.cookie)
	}
}

// TestTheLinesPastTheServerWork runs the commands that byhand.Of returns, on every
// store that can be read from outside.
func TestTheLinesPastTheServerWork(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		m := w.open()
		b := w.browser(m).logIn(w.ada)
		stored := string(b.watch(nothing).operations[0].Value)
		lines, err := byhand.Of(context.Background(), w.cfg.store, w.opened[m])
		require.NoError(t, err)
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
