package revocation_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/session/revocation"
)

// collected holds what was drained from a queue: reasons by key.
type collected map[string]string

func (c collected) store(_ context.Context, keys []string, reason string) error {
	for _, key := range keys {
		c[key] = reason
	}
	return nil
}

func mustAdd(t *testing.T, q *revocation.Queue, reason string, keys ...string) {
	t.Helper()
	require.NoError(t, q.Add(t.Context(), keys, reason))
}

// mustDrain drains q, which must contain exactly want.
func mustDrain(t *testing.T, q *revocation.Queue, want collected) {
	t.Helper()
	got := collected{}
	n, err := q.Drain(t.Context(), got.store)
	if err != nil || n != len(want) || !maps.Equal(got, want) {
		t.Errorf("%d stored, %v, %v; want %v", n, got, err, want)
	}
}

func TestAQueueIsDrainedOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made when needed")
	q := revocation.NewQueue(dir)
	mustDrain(t, q, collected{})
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reading made a folder: %v", err)
	}
	mustAdd(t, q, "log-out", "one")
	mustAdd(t, q, "owner", "two", "three")
	mustAdd(t, q, "log-out", "four")
	away := errors.New("still away")
	n, err := q.Drain(t.Context(), func(context.Context, []string, string) error { return away })
	if n != 0 || !errors.Is(err, away) {
		t.Errorf("with the database away %d were stored, %v", n, err)
	}
	again := revocation.NewQueue(dir) // as after a restart
	listed := 0
	if err := again.Each(t.Context(), func(keys []string) error { listed += len(keys); return nil }); listed != 4 || err != nil {
		t.Errorf("%d are listed, %v", listed, err)
	}
	mustDrain(t, again, collected{"one": "log-out", "two": "owner", "three": "owner", "four": "log-out"})
	mustDrain(t, q, collected{})
}

// TestAQueueTakesWhatFitsAndSaysWhenItIsFull fills a queue to its limit of 64 MiB.
// Everything that Add accepted is there.
func TestAQueueTakesWhatFitsAndSaysWhenItIsFull(t *testing.T) {
	q := revocation.NewQueue(t.TempDir())
	long := strings.Repeat("x", 1<<20)
	var err error
	added := 0
	for err == nil && added < 100 {
		if err = q.Add(t.Context(), []string{"key"}, long); err == nil {
			added++
		}
	}
	if err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("with %d MiB in it: %v", added, err)
	}
	if n, err := q.Drain(t.Context(), collected{}.store); n != added || err != nil {
		t.Errorf("of %d, %d are stored, %v", added, n, err)
	}
	mustAdd(t, q, "log-out", "there is room again")
}

// TestRevocationsAddedWhileTheQueueIsDrainedStay adds a revocation during a drain:
// storing takes as long as the database needs, and a logout does not wait for it.
func TestRevocationsAddedWhileTheQueueIsDrainedStay(t *testing.T) {
	q := revocation.NewQueue(t.TempDir())
	mustAdd(t, q, "log-out", "before")
	_, err := q.Drain(t.Context(), func(_ context.Context, keys []string, _ string) error {
		if keys[0] != "before" {
			return errors.New("stop")
		}
		return q.Add(t.Context(), []string{"meanwhile"}, "log-out")
	})
	if err == nil {
		t.Error("what was added meanwhile was not seen")
	}
	mustDrain(t, q, collected{"meanwhile": "log-out"})
}

func TestAFolderThatTakesNoFileIsAnError(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a file")
	require.NoError(t, os.WriteFile(dir, nil, 0o600))
	for _, q := range []*revocation.Queue{revocation.NewQueue(dir), revocation.NewQueue("")} {
		if err := q.Add(t.Context(), []string{"one"}, "log-out"); err == nil {
			t.Error("it took a revocation")
		}
	}
}

// TestTheQueueOfAnEarlierReleaseIsImported imports a file of JSON lines. A crash may
// have cut off the last of them.
func TestTheQueueOfAnEarlierReleaseIsImported(t *testing.T) {
	for name, c := range map[string]struct{ tail, left string }{
		"whole":   {"", ""},
		"cut off": {"\n{\"keys\":[\"cut", "endings.journal.unreadable"},
		"zeros":   {strings.Repeat("\x00", 4096) + "\n", "endings.journal.unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			legacy := "\n{\"keys\":[\"one\"],\"reason\":\"log-out\"}\n\n{\"keys\":[\"two\",\"three\"],\"reason\":\"owner\"}\n" + c.tail
			require.NoError(t, os.WriteFile(filepath.Join(dir, "endings.journal"), []byte(legacy), 0o600))
			mustDrain(t, revocation.NewQueue(dir), collected{"one": "log-out", "two": "owner", "three": "owner"})
			files, err := filepath.Glob(filepath.Join(dir, "endings.journal*"))
			require.NoError(t, err)
			left := ""
			for _, path := range files {
				if base := filepath.Base(path); base != "endings.journal.lock" {
					left += base
				}
			}
			if left != c.left {
				t.Errorf("left is %q, want %q", left, c.left)
			}
		})
	}
}

// TestProcessesShareAQueue runs processes that add revocations and drain the queue.
// Every revocation that Add accepted is stored by one of them.
func TestProcessesShareAQueue(t *testing.T) {
	const processes, each = 3, 100
	if dir := os.Getenv("HOLDFAST_TEST_QUEUE"); dir != "" {
		useQueue(t, revocation.NewQueue(dir), each)
		return
	}
	dir := t.TempDir()
	outputs := make([][]byte, processes)
	var all sync.WaitGroup
	for i := range outputs {
		all.Go(func() {
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcessesShareAQueue$")
			child.Env = append(os.Environ(), "HOLDFAST_TEST_QUEUE="+dir)
			var err error
			if outputs[i], err = child.CombinedOutput(); err != nil {
				t.Errorf("process %d: %v\n%s", i, err, outputs[i])
			}
		})
	}
	all.Wait()
	added, stored := map[string]bool{}, collected{}
	for _, output := range outputs {
		for lines := bufio.NewScanner(strings.NewReader(string(output))); lines.Scan(); {
			if key, ok := strings.CutPrefix(lines.Text(), "added "); ok {
				added[key] = true
			}
			if key, ok := strings.CutPrefix(lines.Text(), "stored "); ok {
				stored[key] = "log-out"
			}
		}
	}
	if _, err := revocation.NewQueue(dir).Drain(t.Context(), stored.store); err != nil {
		t.Error(err)
	}
	if len(added) != processes*each {
		t.Errorf("%d were added, want %d", len(added), processes*each)
	}
	for key := range added {
		if stored[key] == "" {
			t.Errorf("the revocation of %s is lost", key)
		}
	}
}

func useQueue(t *testing.T, q *revocation.Queue, count int) {
	for n := range count {
		key := fmt.Sprintf("%d-%d", os.Getpid(), n)
		require.NoError(t, whileLocked(func() error { return q.Add(t.Context(), []string{key}, "log-out") }))
		fmt.Println("added", key)
		if n%5 > 0 {
			continue
		}
		if err := whileLocked(func() error {
			_, err := q.Drain(t.Context(), func(_ context.Context, keys []string, _ string) error {
				for _, key := range keys {
					fmt.Println("stored", key)
				}
				return nil
			})
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// whileLocked retries act while other processes keep the file locked for longer than it
// waits, as happens on a busy machine.
func whileLocked(act func() error) (err error) {
	for range 10 {
		if err = act(); err == nil || !strings.Contains(err.Error(), "SQLITE_BUSY") {
			break
		}
	}
	return err
}
