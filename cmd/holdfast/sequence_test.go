//go:build linux

package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/chromedp/chromedp"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
)

// These tests do what people do on /lab, one step after another.

// childrenOf returns the IDs of the child processes of pid, and the environments of those
// that run their programs. Before that, a child has its parent's.
func childrenOf(t testing.TB, pid int) (ids []string, environs map[string][]string) {
	t.Helper()
	environs = map[string][]string{}
	own, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	require.NoError(t, err)
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	require.NoError(t, err)
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has exited
		}
		for id := range strings.FieldsSeq(string(children)) {
			environ, err := os.ReadFile(filepath.Join("/proc", id, "environ"))
			if err != nil {
				continue // the child has exited
			}
			ids = append(ids, id)
			if len(environ) > 0 && !bytes.Equal(environ, own) {
				environs[id] = strings.Split(strings.TrimRight(string(environ), "\x00"), "\x00")
			}
		}
	}
	return ids, environs
}

// watchChildren collects the names of the environment variables of the server's
// children that begin with HOLDFAST_, until stop is called.
func watchChildren(t testing.TB, server *testprocess.Server) (stop func() (names []string, children int)) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	found, seen := map[string]bool{}, map[string]bool{}
	pid := server.PID()
	watching.Go(func() {
		for tick := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			_, environs := childrenOf(t, pid)
			for child, environ := range environs {
				seen[child] = true
				for _, entry := range environ {
					if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "HOLDFAST_") {
						found[name] = true
					}
				}
			}
		}
	})
	return func() ([]string, int) {
		end()
		watching.Wait()
		return slices.Sorted(maps.Keys(found)), len(seen)
	}
}

// TestInABrowserACheckAfterThreeRestartsShowsItsProgressAndNoChildHearsOfTheSocket does
// what people do: it restarts the server, runs a check and an attack in turn, and looks
// at the pages.
func TestInABrowserACheckAfterThreeRestartsShowsItsProgressAndNoChildHearsOfTheSocket(t *testing.T) {
	t.Parallel()
	type setup struct {
		look     screen
		settings func(testing.TB) testprocess.Settings
	}
	for _, c := range sample([]setup{{screen{1280, true}, embedded}, {screen{390, false}, services}}, 1) {
		b := browse(t)
		server := start(t, c.settings(t))
		v := member(t, server)
		if said := v.get("/lab").text(".experiment .empty"); said != "Nothing has been measured on this machine yet." {
			t.Errorf("before the first check: %q", said)
		}
		for range 2 {
			pressRestart(t, v, server)
		}
		b.on(c.look)
		b.register(server, "Ada", "ada@example.org")
		b.do("open the lab", chromedp.Navigate(server.URL+"/lab"))
		if c.look.scripts {
			b.do("guess", chromedp.SetValue(chromedp.CSS("#guess"), "known"))
		}
		b.click(`form[action="/lab/restart"] button`)
		b.sees("Hello again, Ada!", "after the restart")
		if c.look.scripts {
			b.reads(".notices .notice", "hear of the guess", func(said []string) error {
				if len(said) != 1 || !strings.HasPrefix(said[0], "You guessed right: 1 of 1 so far.") {
					return fmt.Errorf("it says %q", said)
				}
				return nil
			})
		}
		stop := watchChildren(t, server)
		if c.look.scripts {
			beginCheck(t, v)
		}
		b.click(`form[action="/lab/check"] button`) // only one runs at a time: during a check, this changes nothing
		b.seesCheck(c.look)
		if names, children := stop(); len(names) > 0 || children == 0 {
			t.Errorf("of %d children some had %q in their environment", children, names)
		}
		mustHaveMeasured(t, v)
		if !c.look.scripts {
			b.click(`a[href="/lab"]`)
		}
		b.click(`a[href="/lab/attacks"]`)
		b.click(`.attack form[action="/lab/attacks/replay"] button`)
		b.reads("#replay ~ *, .trial", "see the attack fail", func(all []string) error {
			if !strings.Contains(strings.Join(all, " "), "The attack failed") {
				return errors.New("no verdict")
			}
			return nil
		})
		b.do("open the lab again", chromedp.Navigate(server.URL+"/lab"))
		b.click(`form[action="/lab/restart"] button`)
		b.sees("Hello again, Ada!", "after the restart that followed")
		b.quiet()
		mustHaveMeasured(t, v)
		server.Stop()
		server.Start()
		mustHaveMeasured(t, v)
	}
}

// beginCheck presses the button of the check, looks at the pages while it runs, and
// waits until it has measured some stores and not the others.
func beginCheck(t testing.TB, v *visitor) {
	t.Helper()
	pressCheck(t, v)
	for path, refresh := range map[string]string{"/lab": "", "/lab/check": "2"} {
		running := v.get(path)
		if said := running.text(".experiment [role=status]"); !strings.HasPrefix(said, "A check is running") || running.Header.Get("Refresh") != refresh {
			t.Errorf("%s while it runs: %q, Refresh %q", path, said, running.Header.Get("Refresh"))
		}
	}
	testkit.Eventually(t, checkLimit, "measure some stores", func() error {
		page := v.get("/lab").page
		waiting, rows := page.Find("td.waiting").Length(), page.Find(".matrix tbody tr").Length()
		if waiting == 0 || waiting == 15 || rows != 15 {
			return fmt.Errorf("%d of %d are not measured", waiting, rows)
		}
		return nil
	})
}

// seesCheck waits until the browser has shown a check to its end, on one page that does
// not move.
func (b *browser) seesCheck(look screen) {
	b.t.Helper()
	if !look.scripts {
		b.click(`a[href="/lab/check"]`)
	}
	var pages int
	var at float64
	for most := 5; most > 0; most-- {
		b.reads(".matrix:first-of-type tbody tr", fmt.Sprintf("see at most %d stores wait", most), func(rows []string) error {
			waiting := 0
			for _, row := range rows {
				if strings.Contains(row, "testing now: ") || strings.Contains(row, "not tested yet") {
					waiting++
				}
			}
			if len(rows) != 5 || waiting > most {
				return fmt.Errorf("%d rows, %d waiting", len(rows), waiting)
			}
			return nil
		})
		if most == 5 { // the page is there
			pages, at = ask[int](b, "history.length"), ask[float64](b, "scrollTo(0, 150), scrollY")
		}
	}
	b.reads("main", "see the end", func(all []string) error {
		if len(all) != 1 || !strings.Contains(all[0], "Measured on this machine") || strings.Contains(all[0], "A check is running") {
			return errors.New("no end")
		}
		return nil
	})
	if now := ask[int](b, "history.length"); now != pages {
		b.t.Errorf("%d pages in the history, %d before", now, pages)
	}
	if now := ask[float64](b, "scrollY"); look.scripts && now != at {
		b.t.Errorf("the page moved from %v to %v", at, now)
	}
}

// mustHaveMeasured fails the test unless /lab and /why show what a check has found.
func mustHaveMeasured(t testing.TB, v *visitor) {
	t.Helper()
	mustBe(t, greeted, v, "after the check")
	lab := v.get("/lab")
	if why := lab.text(".experiment [role=alert]"); why != "" {
		t.Fatalf("the check failed: %s", why)
	}
	if n := lab.page.Find(".matrix tbody tr").Length(); n != 15 || lab.page.Find("td.waiting").Length() != 0 {
		t.Fatalf("the tables have %d rows: %s", n, lab.text(".experiment"))
	}
	found := map[string]string{}
	for _, row := range lab.page.Find(".matrix").First().Find("tbody tr").EachIter() {
		found[row.Find("th").Text()] = row.Find("td").Text()
	}
	want := map[string]string{
		"redis": "knownknownknown", "file": "knownknownrefused", "database": "knownknownknown", "memory": "strangerstrangerstranger", "jwt": "knownknownknown",
	}
	if !maps.Equal(found, want) {
		t.Errorf("the check found %q, want %q", found, want)
	}
	why := v.get("/why")
	for fault, want := range map[string]string{"It forgets": "stranger known", "It cannot be shared": "stranger known"} {
		row := why.page.Find("table.measured tr").FilterFunction(func(_ int, row *goquery.Selection) bool { return row.Find("th").Text() == fault })
		if said := row.Find("td").Eq(1).Text() + " " + row.Find("td").Eq(2).Text(); said != want {
			t.Errorf("%s: measured %q, want %q", fault, said, want)
		}
	}
}

func TestARestartDuringACheckLeavesNothingBehindAndSaysSo(t *testing.T) {
	t.Parallel()
	each(t, bothStacks(), func(t *testing.T, _ string, settings func(testing.TB) testprocess.Settings) {
		set := settings(t)
		set["TMPDIR"] = shortDir(t)
		server := start(t, set)
		v := member(t, server)
		pressCheck(t, v)
		testkit.Eventually(t, checkLimit, "have tried one store", func() error {
			if v.get("/lab").page.Find("td.waiting").Length() != 12 {
				return errors.New("not yet")
			}
			return nil
		})
		pressRestart(t, v, server)
		if children, _ := childrenOf(t, server.PID()); len(children) > 0 {
			t.Errorf("the new server has children it never started: %v", children)
		}
		if left, err := filepath.Glob(filepath.Join(set["TMPDIR"], "holdfast-restart-check-*")); err != nil || len(left) > 0 {
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

// TestAKilledCheckIsNotForgottenAndWhatItLeftIsRemovedAtTheNextStart: kill -9 during a
// check leaves a folder, and a schema in PostgreSQL.
func TestAKilledCheckIsNotForgottenAndWhatItLeftIsRemovedAtTheNextStart(t *testing.T) {
	t.Parallel()
	each(t, map[string]func(testing.TB) string{
		"embedded": func(testing.TB) string { return "" }, "PostgreSQL": func(t testing.TB) string { return testkit.Postgres(t).URL },
	}, func(t *testing.T, _ string, on func(testing.TB) string) {
		temporary := shortDir(t)
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
			if _, environs := childrenOf(t, server.PID()); len(environs) == 0 {
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
		if said := v.get("/lab").text(".experiment [role=alert]"); said != "The server stopped during the check." {
			t.Errorf("the page says %q", said)
		}
	})
}

// schemas returns the names of schemas that checks created.
func schemas(t testing.TB, database string) []string {
	t.Helper()
	names, err := column[string](t, database, `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'holdfast_restart_check_%'`)
	require.NoError(t, err)
	return names
}
