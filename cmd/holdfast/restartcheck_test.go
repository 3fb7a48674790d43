package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gofrs/flock"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
)

// checking runs restart-check. It passes every line of progress to heard before it
// reads the next.
func checking(t *testing.T, settings testprocess.Settings, heard func(line string, check *os.Process), args ...string) (stdout string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t), append([]string{"restart-check"}, args...)...)
	cmd.Dir = t.TempDir()
	for name, value := range settings {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	progress, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var said strings.Builder
	lines := bufio.NewScanner(progress)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		heard(lines.Text(), cmd.Process)
	}
	err = cmd.Wait()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, said.String())
	}
	return out.String(), err
}

func TestRestartCheckSucceedsWhereEveryStoreDoesWhatItIsFor(t *testing.T) {
	t.Parallel()
	begun := map[string]bool{}
	// SQLite would cut off this path at ? and #.
	parent := t.TempDir()
	folder := filepath.Join(parent, "a#b?c%41 [d]")
	require.NoError(t, os.Mkdir(folder, 0o700))
	out, err := checking(t, testprocess.Settings{"TMPDIR": folder}, func(line string, _ *os.Process) {
		store, _, _ := strings.Cut(line, " ")
		begun[store] = true
	}, "--sessions=20", "--json")
	require.NoError(t, err)
	var report struct {
		Sessions int
		Rows     []struct{ Store, Before, AfterRestart, AfterKill string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if report.Sessions != 20 || len(report.Rows) != 5 {
		t.Errorf("%+v", report)
	}
	for _, row := range report.Rows {
		kept := row.AfterRestart == "Hello, Ada!" && row.AfterKill == "Hello, Ada!"
		if row.Before != "Hello, Ada!" || kept != (row.Store != "memory") {
			t.Errorf("%+v", row)
		}
		if !begun[row.Store] {
			t.Errorf("no progress was shown for %s", row.Store)
		}
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
		t.Errorf("%d files beside the folder, %v", len(entries), err)
	}
}

// Package restartcheck has the same test with one store, for make test.
func TestRestartCheckFailsWhenRedisForgets(t *testing.T) {
	campaign.Only(t)
	t.Parallel()
	cache := testservice.Redis(t)
	out, err := checking(t, testprocess.Settings{"REDIS_URL": cache.URL, "TMPDIR": t.TempDir()}, func(line string, _ *os.Process) {
		// The server takes half a second to stop; this takes no time.
		if strings.HasPrefix(line, "redis     restart") {
			if _, err := cache.Do("FLUSHDB"); err != nil {
				t.Error(err)
			}
		}
	}, "--sessions=20")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(err.Error(), "redis: the session was lost on restart") {
		t.Errorf("ended with %v", err)
	}
	for _, line := range strings.Split(out, "\n") {
		if cells := strings.Fields(line); len(cells) > 4 && cells[0] == "redis" && !strings.HasPrefix(strings.Join(cells, " "), "redis Hello, Ada! logged out Hello, Ada! recognised") {
			t.Errorf("row %q", line)
		}
	}
	if !strings.Contains(out, "redis: sessions survive a crash but not a restart") {
		t.Errorf("the table is missing:\n%s", out)
	}
}

func TestServersEndWithAKilledRestartCheck(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	killed := false
	_, err := checking(t, testprocess.Settings{"TMPDIR": folder}, func(line string, check *os.Process) {
		if !killed && strings.HasPrefix(line, "redis     time") { // a server is running
			killed = true
			if err := check.Kill(); err != nil {
				t.Error(err)
			}
		}
	})
	if !killed || err == nil {
		t.Fatalf("was not killed in the middle: %v", err)
	}
	locks, _ := filepath.Glob(filepath.Join(folder, "*", ".data", "redis.lock"))
	if len(locks) != 1 {
		t.Fatalf("locks of the embedded Redis: %v", locks)
	}
	testkit.Eventually(t, answerLimit, "the end of the server", func() error {
		lock := flock.New(locks[0])
		if free, err := lock.TryLock(); err != nil || !free {
			return fmt.Errorf("%s is held by a server (%v)", locks[0], err)
		}
		return lock.Unlock()
	})
}

func TestRestartCheckRefusesToMeasureNothing(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--sessions=0"}, {"--sessions=-5"}, {"--json", "--markdown"}} {
		end := testprocess.Run(t, program(t), t.TempDir(), nil, append([]string{"restart-check"}, args...)...)
		if end.Code == 0 || end.Stdout != "" {
			t.Errorf("%q: code %d, %s", args, end.Code, end.Output())
		}
	}
}
