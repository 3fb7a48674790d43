//go:build unix

package main_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
	visit "holdfast/internal/visitor"
)

// latestStart returns the start number in the server's last announcement.
func latestStart(server *testprocess.Server) int {
	all := regexp.MustCompile(`(?m)^Holdfast .*, server start (\d+)$`).FindAllStringSubmatch(server.Announcement(), -1)
	if len(all) == 0 {
		return 0
	}
	number, _ := strconv.Atoi(all[len(all)-1][1])
	return number
}

// pressRestart presses the button on /lab and waits for the next start. It returns
// where the server redirects the browser.
func pressRestart(t testing.TB, v *visitor, server *testprocess.Server) (waitPage string) {
	t.Helper()
	before := latestStart(server)
	got, err := v.submit("/lab", "/lab/restart", nil)
	if err != nil || got.Code != http.StatusSeeOther {
		t.Fatalf("restart: %d, heading %q, %v", got.Code, got.text("h1"), err)
	}
	testkit.Eventually(t, time.Minute, "start again", func() error {
		if now := latestStart(server); now != before+1 {
			return fmt.Errorf("start %d after %d", now, before)
		}
		return nil
	})
	return got.Header.Get("Location")
}

// outcome follows the waiting page to the page that says what became of the session.
func outcome(t testing.TB, v *visitor, waitPage string) answer {
	t.Helper()
	got := v.get(waitPage)
	if got.Code != http.StatusSeeOther {
		t.Fatalf("the waiting page of a finished restart: %d, heading %q", got.Code, got.text("h1"))
	}
	return v.get(got.Header.Get("Location"))
}

func TestTheRestartButtonKeepsWhoeverIsLoggedInUnlessSessionsAreInMemory(t *testing.T) {
	t.Parallel()
	each(t, places(), func(t *testing.T, name string, settings func(testing.TB) testprocess.Settings) {
		server := start(t, settings(t))
		v := member(t, server)
		pid := server.PID()
		got := outcome(t, v, pressRestart(t, v, server))
		for term, want := range map[string]string{"Before": ", not restarted yet", "Now": ", restarted 1 time"} {
			want = "process ID " + strconv.Itoa(pid) + want
			if said := got.fact(term); !strings.HasPrefix(said, want) {
				t.Errorf("%s: %q, want %q", term, said, want)
			}
		}
		if name == "memory" {
			if want := "You are logged out"; got.text("h1") != want {
				t.Errorf("heading %q, want %q", got.text("h1"), want)
			}
			mustBe(t, asked, v, "after the restart")
			// A guest had no session to lose, so the page reports no loss.
			guest := newVisitor(t, server.URL)
			if got := outcome(t, guest, pressRestart(t, guest, server)); got.text("h1") != "The server restarted" {
				t.Errorf("a guest's heading: %q", got.text("h1"))
			}
			return
		}
		if want := "Hello again, Ada!"; got.text("h1") != want {
			t.Errorf("heading %q, want %q", got.text("h1"), want)
		}
		mustBe(t, greeted, v, "after the restart")
		if said := v.get("/profile").fact("Server restarts survived"); said != "1" {
			t.Errorf("has outlived %q", said)
		}
	})
}

func TestTheWaitingPageComesBackByItselfAndNotForEver(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	v := newVisitor(t, server.URL)
	got := v.get("/lab/wait?from=1&had=none&try=3")
	if want := "1; url=/lab/wait?from=1&had=none&try=4"; got.Header.Get("Refresh") != want {
		t.Errorf("Refresh %q, want %q", got.Header.Get("Refresh"), want)
	}
	got = v.get("/lab/wait?from=1&had=none&try=20")
	if got.Header.Get("Refresh") != "" || got.text("h1") != "The server has not restarted" {
		t.Errorf("the last try: Refresh %q, heading %q", got.Header.Get("Refresh"), got.text("h1"))
	}
	for _, query := range []string{"", "?from=x&had=none", "?from=1&had=https://e.x", "?from=-1&had=none"} {
		if got := v.get("/lab/wait" + query); got.Header.Get("Location") != "/lab" {
			t.Errorf("%q leads to %q", query, got.Header.Get("Location"))
		}
	}
}

func TestAProgramThatDoesNotStartLeavesTheOldOneServingAndFailsTheCheck(t *testing.T) {
	t.Parallel()
	copied := filepath.Join(t.TempDir(), "holdfast")
	require.NoError(t, os.Link(program(t), copied))
	server := testprocess.Start(t, copied, t.TempDir(), nil)
	v := member(t, server)
	require.NoError(t, os.Remove(copied))
	require.NoError(t, os.WriteFile(copied, []byte("#!/bin/sh\necho 'holdfast: the kelp tore loose' >&2\nexit 1\n"), 0o755))
	got, err := v.submit("/lab", "/lab/restart", nil)
	if err != nil || got.Code != http.StatusServiceUnavailable || !strings.HasPrefix(got.text("[role=alert]"), "The server was not restarted") {
		t.Fatalf("%d, %q, %v", got.Code, got.text("[role=alert]"), err)
	}
	mustBe(t, greeted, v, "by the old one")
	if latestStart(server) != 1 {
		t.Error("it started again all the same")
	}
	pressCheck(t, v)
	var page answer
	testkit.Eventually(t, checkLimit, "the end of the check", func() error {
		page = v.get("/lab")
		if said := page.text(".experiment [role=status]"); said != "" {
			return fmt.Errorf("still %q", said)
		}
		return nil
	})
	want := "The check failed while testing redis, at the step “start the server, register, log in”: the server stopped (exit status 1). The server said: the kelp tore loose"
	if said := page.text(".experiment [role=alert]"); said != want {
		t.Errorf("the page says %q, want %q", said, want)
	}
	if page.text(".experiment .empty") != "" {
		t.Error("beside the failure it says that nothing has been measured")
	}
	// With the program restored, the server can restart.
	require.NoError(t, os.Remove(copied))
	require.NoError(t, os.Link(program(t), copied))
	pressRestart(t, v, server)
	mustBe(t, greeted, v, "by the new one")
}

// TestOfSeveralRestartsAtOnceOneHappens: people click twice. All clicks wait for it.
func TestOfSeveralRestartsAtOnceOneHappens(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	v := newVisitor(t, server.URL)
	var mu sync.Mutex
	replaced := map[string]bool{} // the starts whose server was to be replaced
	var all errgroup.Group
	for range 6 {
		all.Go(func() error {
			got, err := v.ask("POST", "/lab/restart", url.Values{})
			if err != nil {
				return err
			}
			from, found := strings.CutPrefix(got.Header.Get("Location"), "/lab/wait?from=")
			if got.Code != http.StatusSeeOther || !found {
				return fmt.Errorf("status %d to %q", got.Code, got.Header.Get("Location"))
			}
			mu.Lock()
			defer mu.Unlock()
			from, _, _ = strings.Cut(from, "&")
			replaced[from] = true
			return nil
		})
	}
	require.NoError(t, all.Wait())
	testkit.Steadily(t, answerLimit, "be replaced once for all clicks", func() error {
		if got, want := latestStart(server), 1+len(replaced); got != want {
			return fmt.Errorf("start %d, want %d", got, want)
		}
		return nil
	})
}

// Not parallel: it generates load. Half of the clients open a connection for every
// request, so that no library retries a failed one.
func TestRestartsUnderLoadLoseNoRequest(t *testing.T) {
	const clients = 32
	restarts := campaign.Number(5, 20)
	server := start(t, onServices(testservice.Redis(t).URL, ""))
	v := member(t, server)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var asked atomic.Int64
	var load errgroup.Group
	for i := range clients {
		client := visit.New(server.URL)
		client.Take(v.token())
		if i%2 == 0 {
			client.Header = http.Header{"Connection": {"close"}}
		}
		load.Go(func() error {
			defer client.Close()
			for ctx.Err() == nil {
				// The test's context, so that the last request completes.
				greeting, err := client.Greeting(t.Context())
				if err != nil || greeting == "" {
					return fmt.Errorf("after %d requests: greeted %q, %v", asked.Load(), greeting, err)
				}
				asked.Add(1)
			}
			return nil
		})
	}
	for range restarts {
		pressRestart(t, v, server)
	}
	stop()
	require.NoError(t, load.Wait())
	t.Logf("%d requests, %d restarts", asked.Load(), restarts)
	if asked.Load() < int64(clients*restarts) {
		t.Errorf("only %d requests: no load", asked.Load())
	}
}

// longest keeps requesting a page, each time on a new connection. The function that it
// returns stops that, and returns the longest response time.
func longest(t testing.TB, v *visitor) (stop func() time.Duration) {
	t.Helper()
	client := visit.New(v.Base)
	client.Take(v.token())
	client.Header = http.Header{"Connection": {"close"}} // a new connection each time
	t.Cleanup(client.Close)
	ctx, end := context.WithCancel(t.Context())
	var asking errgroup.Group
	var took time.Duration
	asking.Go(func() error {
		for ctx.Err() == nil {
			began := time.Now()
			greeting, err := client.Greeting(context.Background())
			if err != nil || greeting == "" {
				return fmt.Errorf("greeted %q, %v", greeting, err)
			}
			took = max(took, time.Since(began))
			<-time.After(pause)
		}
		return nil
	})
	return func() time.Duration {
		t.Helper()
		end()
		if err := asking.Wait(); err != nil {
			t.Fatalf("meanwhile: %v", err)
		}
		return took
	}
}

func TestASlowFormHoldsNobodyUpDuringARestart(t *testing.T) {
	t.Parallel()
	server := start(t, testprocess.Settings{"SHUTDOWN_TIMEOUT": "60s"})
	v := member(t, server)
	begun := time.Now()
	slow, stuck := beginSignUp(t, server, "slow@example.org"), beginSignUp(t, server, "stuck@example.org")
	open(t, server) // browsers open one in advance and may never use it
	stop := longest(t, v)
	require.NoError(t, visit.Sent(v.Post(t.Context(), "/lab/restart", url.Values{})))
	// A form that keeps arriving while the restart waits is accepted.
	if response, err := slow.finish(); err != nil || response.StatusCode != http.StatusSeeOther {
		t.Errorf("the slow form: %v, %v", response, err)
	}
	for time.Since(begun) < 3*time.Second {
		mustBe(t, greeted, v, "while the restart waits for a form")
	}
	// One that began late and stays stuck is refused when the wait ends.
	late := beginSignUp(t, server, "late@example.org")
	for what, c := range map[string]struct {
		form   *hold
		status int
	}{"stuck for its whole time": {stuck, http.StatusBadRequest}, "stuck when the wait was over": {late, http.StatusServiceUnavailable}} {
		response, err := http.ReadResponse(c.form.reader, nil)
		if err != nil || response.StatusCode != c.status {
			t.Errorf("a form %s: %v, %v, want %d", what, response, err, c.status)
		}
	}
	testkit.Eventually(t, time.Minute, "start again", func() error {
		if latestStart(server) != 2 {
			return fmt.Errorf("start %d", latestStart(server))
		}
		return nil
	})
	if took := time.Since(begun); took > 45*time.Second {
		t.Errorf("the restart took %s", took)
	}
	if took := stop(); took > 8*time.Second {
		t.Errorf("a page took %s", took)
	} else {
		t.Logf("the longest wait for a page was %s", took)
	}
}
