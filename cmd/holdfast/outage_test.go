package main_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
	visit "holdfast/internal/visitor"
)

// TestPostgresOutOfReach checks that people who are logged in notice nothing if their
// sessions are in Redis, that requests that need accounts are refused in time and
// succeed again once PostgreSQL is back, and that sessions in PostgreSQL are kept.
func TestPostgresOutOfReach(t *testing.T) {
	t.Parallel()
	postgres := testservice.PrivatePostgres(t)
	settings := onServices(testservice.Redis(t).URL, postgres.URL)
	settings["DATABASE_TIMEOUT"] = "2s"
	server := start(t, settings)
	ada := member(t, server)
	other, err := url.Parse(postgres.URL)
	require.NoError(t, err)
	other.Path = "/sessions"
	query(t, postgres.URL, "CREATE DATABASE sessions")
	inPostgres := start(t, testprocess.Settings{"DATABASE_URL": other.String(), "SESSION_STORE": "database", "DATABASE_TIMEOUT": "2s"})
	bea := member(t, inPostgres)
	cookie := bea.token()
	for _, fault := range []struct {
		name        string
		begin, mend func()
		within      time.Duration // the limit of one call plus the hash, both slow here
	}{
		{"stopped", postgres.Stop, postgres.Start, within(4 * time.Second)},
		{"hanging", postgres.Pause, postgres.Resume, within(5 * time.Second)},
	} {
		fault.begin()
		mustBe(t, greeted, ada, "with PostgreSQL "+fault.name)
		for path, want := range map[string]int{"/": 200, "/session": 200, "/healthz": 200, "/readyz": 503} {
			if got := ada.get(path); got.Code != want {
				t.Errorf("PostgreSQL %s, %s: %d, want %d", fault.name, path, got.Code, want)
			}
		}
		newcomer := newVisitor(t, server.URL)
		for what, try := range map[string]func() (answer, error){
			"log in":  ada.stranger().tryLogIn,
			"sign up": newcomer.trySignUp,
		} {
			got, err := try()
			if err == nil {
				err = refusedBriefly(got)
			}
			if err == nil && got.Took > fault.within {
				err = fmt.Errorf("took %s", got.Took)
			}
			if err != nil {
				t.Errorf("PostgreSQL %s, %s: %v", fault.name, what, err)
			}
		}
		if got := bea.get("/profile"); refusedBriefly(got) != nil || got.Took > within(6*time.Second) {
			t.Errorf("PostgreSQL %s, a session in it: %v after %s", fault.name, refusedBriefly(got), got.Took)
		}
		if got := bea.stranger().get("/"); got.Code != http.StatusOK {
			t.Errorf("PostgreSQL %s, a guest: %d", fault.name, got.Code)
		}
		fault.mend()
		steady(t, backWithin, "after PostgreSQL was "+fault.name, ada, server)
		steady(t, backWithin, "after PostgreSQL was "+fault.name, bea, inPostgres)
		if got := ada.get("/readyz"); got.Code != http.StatusOK {
			t.Errorf("ready after PostgreSQL was %s: %d", fault.name, got.Code)
		}
		if err := entered(newcomer.trySignUp()); err != nil {
			t.Errorf("the sign-up that was refused, again: %v", err)
		}
	}
	mustBe(t, greeted, ada, "after all")
	if bea.token() != cookie {
		t.Error("the cookie changed")
	}

	// Only revocations of real sessions are queued.
	postgres.Stop()
	var cookies []string
	for n := range 100 {
		cookies = append(cookies, fmt.Sprintf("session=%043d", n))
	}
	for _, invented := range []string{strings.Join(cookies, "; "), cookies[0]} {
		_, err := newVisitor(t, server.URL).Do(t.Context(), visit.Request{Method: http.MethodPost, Path: "/logout", Header: http.Header{"Cookie": {invented}}})
		require.NoError(t, err)
	}
	ada.logOut()
	const queued = `msg="session revocations queued: database unavailable"`
	mustLog(t, server, queued+" reason=log-out sessions=1 ")
	mustLogOnce(t, server, queued)
}

func TestSIGTERMEndsTheServerAlsoWhenItsStoresHang(t *testing.T) {
	t.Parallel()
	redis, postgres := testservice.PrivateRedis(t), testservice.PrivatePostgres(t)
	server := start(t, strict(onServices(redis.URL, postgres.URL)))
	ada := member(t, server)
	redis.Pause()
	postgres.Pause()
	mustRefuseBriefly(t, "with both stores hanging")(ada.ask("GET", "/profile", nil))
	server.Terminate()
	if end := server.Wait(within(8 * time.Second)); end.Code == -1 {
		t.Error("ended by a signal")
	}
	redis.Resume()
	postgres.Resume()
	server.Start()
	steady(t, answerLimit, "after both stores went on", ada, server)
}

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
	settings := strict(onServices(store.URL, postgres.URL))
	settings["REDIS_TIMEOUT"] = "" // 500 ms: shorter than the check of the revocations
	server := start(t, settings)
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
