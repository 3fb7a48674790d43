//go:build linux

package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
)

// These tests do what people do on /lab, one step after another.

// childrenOf returns the state and environment of each child process of pid. It omits a
// child that exits meanwhile.
func childrenOf(t testing.TB, pid int) (states map[int]string, environs map[int][]string) {
	t.Helper()
	states, environs = map[int]string{}, map[int][]string{}
	own, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	require.NoError(t, err)
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	require.NoError(t, err)
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has exited
		}
		for _, id := range strings.Fields(string(children)) {
			stat, err := os.ReadFile(filepath.Join("/proc", id, "stat"))
			if err != nil {
				continue
			}
			child, _ := strconv.Atoi(id)
			states[child], _, _ = strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+2:]), " ") // after the name in parentheses
			environ, err := os.ReadFile(filepath.Join("/proc", id, "environ"))
			// Before a child runs its program, it has its parent's environment.
			if err == nil && len(environ) > 0 && !bytes.Equal(environ, own) {
				environs[child] = strings.Split(strings.TrimRight(string(environ), "\x00"), "\x00")
			}
		}
	}
	return states, environs
}

// watchChildren collects the names of the environment variables of the server's
// children that begin with HOLDFAST_, until stop is called.
func watchChildren(t testing.TB, server *testprocess.Server) (stop func() (names []string, children int)) {
	t.Helper()
	end, done := make(chan struct{}), make(chan struct{})
	found, seen := map[string]bool{}, map[int]bool{}
	pid := server.PID()
	go func() {
		defer close(done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			_, environs := childrenOf(t, pid)
			for child, environ := range environs {
				seen[child] = true
				for _, entry := range environ {
					if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "HOLDFAST_") {
						found[name] = true
					}
				}
			}
			select {
			case <-end:
				return
			case <-tick.C:
			}
		}
	}()
	return func() ([]string, int) {
		close(end)
		<-done
		var names []string
		for name := range found {
			names = append(names, name)
		}
		slices.Sort(names)
		return names, len(seen)
	}
}

// shortTemp returns a temporary directory with a path short enough for a socket.
func shortTemp(t testing.TB) string {
	t.Helper()
	temporary, err := os.MkdirTemp("", "hf")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(temporary) })
	return temporary
}

// checked waits until the check finishes and returns the page.
func checked(t testing.TB, v *visitor) (done answer) {
	t.Helper()
	look := time.NewTicker(500 * time.Millisecond) // nearly as often as the page itself
	defer look.Stop()
	late := time.After(4 * time.Minute)
	for {
		if done = v.get("/lab"); done.text(".experiment [role=status]") == "" {
			return done
		}
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("the check does not end: %s", done.text(".experiment"))
		}
	}
}

func mustHaveMeasured(t testing.TB, page answer) {
	t.Helper()
	if why := page.text(".experiment [role=alert]"); why != "" {
		t.Fatalf("the check failed: %s", why)
	}
	if n := page.page.Find(".matrix tbody tr").Length(); n != 15 || page.page.Find("td.waiting").Length() != 0 {
		t.Fatalf("the tables have %d rows: %s", n, page.text(".experiment"))
	}
}

func TestACheckAfterThreeRestartsMeasuresAndNoChildHearsOfTheSocket(t *testing.T) {
	t.Parallel()
	each(t, bothStacks(), func(t *testing.T, _ string, settings func(testing.TB) testprocess.Settings) {
		server := start(t, settings(t))
		v := member(t, server)
		for range 3 {
			pressRestart(t, v, server)
		}
		stop := watchChildren(t, server)
		pressCheck(t, v)
		mustHaveMeasured(t, checked(t, v))
		names, children := stop()
		if len(names) > 0 || children == 0 {
			t.Errorf("of %d children some had %q in their environment", children, names)
		}
		pressRestart(t, v, server) // a check does not prevent a restart
		mustHaveMeasured(t, v.get("/lab"))
	})
}

func TestARestartDuringACheckLeavesNothingBehindAndSaysSo(t *testing.T) {
	t.Parallel()
	each(t, bothStacks(), func(t *testing.T, _ string, settings func(testing.TB) testprocess.Settings) {
		temporary := shortTemp(t)
		set := settings(t)
		set["TMPDIR"] = temporary
		server := start(t, set)
		v := member(t, server)
		pressCheck(t, v)
		testkit.Eventually(t, time.Minute, "have tried one store", func() error {
			if v.get("/lab").page.Find("td.waiting").Length() != 12 {
				return errors.New("not yet")
			}
			return nil
		})
		pressRestart(t, v, server)
		if states, _ := childrenOf(t, server.PID()); len(states) > 0 {
			t.Errorf("the new server has children it never started: %v", states)
		}
		if left, err := filepath.Glob(filepath.Join(temporary, "holdfast-restart-check-*")); err != nil || len(left) > 0 {
			t.Errorf("left in the temporary folder: %v, %v", left, err)
		}
		page := v.get("/lab")
		if said := page.text(".experiment [role=alert]"); !strings.Contains(said, "The check stopped while testing file: the server was restarted") {
			t.Errorf("of the check that was stopped the page says %q", said)
		}
		if page.page.Find("td.waiting").Length() != 12 || page.text(".experiment .empty") != "" {
			t.Errorf("what it had found is not shown: %s", page.text(".experiment"))
		}
		mustBe(t, greeted, v, "after the restart")
	})
}

func TestACheckWhoseServerIsKilledIsNotForgotten(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	v := member(t, server)
	pressCheck(t, v)
	server.Kill()
	server.Start()
	if said := v.get("/lab").text(".experiment [role=alert]"); said != "The server stopped during the check." {
		t.Errorf("the page says %q", said)
	}
}

// TestWhatAKilledCheckHasLeftIsRemovedAtTheNextStart: kill -9 during a check leaves a
// folder, and a schema in PostgreSQL.
func TestWhatAKilledCheckHasLeftIsRemovedAtTheNextStart(t *testing.T) {
	t.Parallel()
	each(t, map[string]func(testing.TB) string{
		"embedded": func(testing.TB) string { return "" }, "PostgreSQL": func(t testing.TB) string { return testkit.Postgres(t).URL },
	}, func(t *testing.T, _ string, on func(testing.TB) string) {
		temporary := shortTemp(t)
		database := on(t)
		settings := onServices("", database)
		settings["TMPDIR"] = temporary
		server := start(t, settings)
		left := func() (names []string) {
			t.Helper()
			for _, pattern := range []string{
				filepath.Join(temporary, "holdfast-restart-check-*"), filepath.Join(server.Dir, ".data", "holdfast-restart-check-*"),
			} {
				found, err := filepath.Glob(pattern)
				require.NoError(t, err)
				names = append(names, found...)
			}
			if database != "" {
				names = append(names, schemas(t, database)...)
			}
			return names
		}
		v := member(t, server)
		pressCheck(t, v)
		testkit.Eventually(t, time.Minute, "a server of the check", func() error {
			if states, environs := childrenOf(t, server.PID()); len(states) == 0 || len(environs) == 0 {
				return errors.New("not yet")
			}
			return nil
		})
		server.Kill()
		if names := left(); len(names) < 3 {
			t.Fatalf("killed too early: only %q are left", names)
		}
		testkit.Eventually(t, time.Minute, "the end of the check's server", func() error {
			environs, err := filepath.Glob("/proc/[0-9]*/environ")
			if err != nil {
				return err
			}
			for _, path := range environs {
				if environ, err := os.ReadFile(path); err == nil && bytes.Contains(environ, []byte("TMPDIR="+temporary)) {
					return errors.New(path)
				}
			}
			return nil
		})
		server.Start()
		if names := left(); len(names) > 0 {
			t.Errorf("after the next start %q are left", names)
		}
	})
}

// schemas returns the names of schemas that checks created.
func schemas(t testing.TB, database string) (names []string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'holdfast_restart_check_%'`)
	if err == nil {
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	require.NoError(t, err)
	return names
}

func TestACheckThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	copied := copiedProgram(t)
	server := testprocess.Start(t, copied, t.TempDir(), nil)
	v := member(t, server)
	spoil(t, copied, "holdfast: the kelp tore loose")
	pressCheck(t, v)
	page := checked(t, v)
	want := "The check failed while testing redis, at the step “start the server, register, log in”: the server stopped (exit status 1). The server said: the kelp tore loose"
	if said := page.text(".experiment [role=alert]"); said != want {
		t.Errorf("the page says %q, want %q", said, want)
	}
	if page.text(".experiment .empty") != "" {
		t.Error("beside the failure it says that nothing has been measured")
	}
}
