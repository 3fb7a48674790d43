package main_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
	visit "holdfast/internal/visitor"
)

// unready returns the plain-text body of /readyz without its first line, or "" if the
// server is ready.
func unready(server *testprocess.Server, accept string) (string, error) {
	v := visit.New(server.URL)
	defer v.Close()
	got, err := v.Do(context.Background(), visit.Request{Method: http.MethodGet, Path: "/readyz", Header: http.Header{"Accept": {accept}}})
	body := string(got.Body)
	switch {
	case err != nil:
		return "", err
	case got.Code == http.StatusOK && body == "ready\n":
		return "", nil
	}
	why, found := strings.CutPrefix(body, "not ready\n")
	if kind := got.Header.Get("Content-Type"); got.Code != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || !found || kind != "text/plain; charset=UTF-8" {
		return "", fmt.Errorf("status %d, %s, %q", got.Code, kind, body)
	}
	return why, nil
}

// mustSay waits until /readyz gives this reason, whatever the Accept header.
func mustSay(t testing.TB, server *testprocess.Server, want string) {
	t.Helper()
	for _, accept := range []string{"*/*", "application/json", "text/html"} {
		testkit.Steadily(t, answerLimit, "say why", func() error {
			why, err := unready(server, accept)
			if err == nil && why != want {
				err = fmt.Errorf("it says %q, want %q", why, want)
			}
			return err
		})
	}
}

func TestReadyzSaysWhyInWordsAndTheLogSaysMore(t *testing.T) {
	t.Parallel()
	const (
		noDatabase  = "user database unreachable\n"
		noSessions  = "session store unreachable\n"
		noHeartbeat = "sessions are not trusted: the session store does not accept a heartbeat\n"
	)
	store, postgres := testservice.PrivateRedis(t), testservice.PrivatePostgres(t)
	server := start(t, strict(onServices(store.URL, postgres.URL)))
	logged := func(cause string) {
		t.Helper()
		line := regexp.MustCompile(`msg=request .*route=/readyz status=503 .*cause=".*` + cause)
		testkit.Eventually(t, answerLimit, "log the cause", func() error {
			if !line.MatchString(server.Log()) {
				return fmt.Errorf("no line is like %s", line)
			}
			return nil
		})
	}
	mustSay(t, server, "")

	postgres.Stop()
	mustSay(t, server, noDatabase)
	logged("ping database: ")
	store.Stop()
	mustSay(t, server, noSessions+noDatabase)
	postgres.Start()
	mustSay(t, server, noSessions)
	logged("connect to Redis: ")
	store.Start()
	mustSay(t, server, "")

	must(t, store, "CONFIG", "SET", "min-replicas-to-write", "1")
	mustSay(t, server, noHeartbeat)
	logged("no heartbeat accepted by Redis")
	must(t, store, "CONFIG", "SET", "min-replicas-to-write", "0")
	mustSay(t, server, "")
}

// TestReadyzCountsTheEndingsThatAreAppliedAgain: the server applies all revocations
// again to a Redis that has lost its data.
func TestReadyzCountsTheEndingsThatAreAppliedAgain(t *testing.T) {
	t.Parallel()
	const endings = 100_000
	store, postgres := testservice.PrivateRedis(t), testkit.Postgres(t)
	server := start(t, strict(onServices(store.URL, postgres.URL)))
	member(t, server)
	query(t, postgres.URL, fmt.Sprintf(`INSERT INTO devices
		(id, person_id, session_key, user_agent, address, remembered, created_ms, deadline_ms, ended_ms, ended_how)
		SELECT 'ended' || n, p.id, lpad(n::text, 43, '0'), '', '', false, d.ms, d.ms + 86400000, d.ms, 'log-out'
		FROM generate_series(1, %d) n, (SELECT id FROM people) p, (SELECT (extract(epoch FROM now()) * 1000)::bigint AS ms) d`, endings))
	counted := regexp.MustCompile(`^checking sessions before trusting them: ([1-9]\d*) removed so far\n$`)
	var seen atomic.Bool
	ask := func() {
		if why, err := unready(server, "*/*"); err == nil && counted.MatchString(why) {
			seen.Store(true)
		}
	}
	var asking sync.WaitGroup
	end := make(chan struct{})
	asking.Go(func() { // each request waits for a second, so send them concurrently
		for tick := time.NewTicker(25 * time.Millisecond); !seen.Load(); <-tick.C {
			select {
			case <-end:
				return
			default:
				asking.Go(ask)
			}
		}
	})
	for range 5 { // a busy machine may look too late
		must(t, store, "FLUSHALL")
		must(t, store, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		mustSay(t, server, "")
		if seen.Load() {
			break
		}
	}
	close(end)
	asking.Wait()
	if !seen.Load() {
		t.Error("/readyz counted nothing")
	}
}
