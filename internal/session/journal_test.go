package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// collected is what a journal was worked off to.
type collected struct {
	mu   sync.Mutex
	keys map[string]EndReason
	fail error // the answer to the next ending, once
}

func (c *collected) end(_ context.Context, keys []string, why EndReason) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.fail; err != nil {
		c.fail = nil
		return err
	}
	for _, key := range keys {
		c.keys[key] = why
	}
	return nil
}

func mustAdd(t *testing.T, j journal, why EndReason, keys ...string) {
	t.Helper()
	if err := j.add(t.Context(), keys, why); err != nil {
		t.Fatal(err)
	}
}

// mustWork works j off and compares with all the endings it must have had.
func mustWork(t *testing.T, j journal, spoilt int, want map[string]EndReason) {
	t.Helper()
	c := collected{keys: map[string]EndReason{}}
	done, bad, err := j.work(t.Context(), c.end)
	if err != nil || bad != spoilt || done != len(want) || !maps.Equal(c.keys, want) {
		t.Errorf("%d stored (%v), %d lines spoilt, %v; want %v and %d", done, c.keys, bad, err, want, spoilt)
	}
}

func TestAJournalIsWorkedOffOnce(t *testing.T) {
	j := newJournal(filepath.Join(t.TempDir(), "made when needed"))
	mustWork(t, j, 0, nil)
	mustAdd(t, j, EndedByLogOut, "one")
	mustAdd(t, j, EndedByOwner, "two", "three")
	mustAdd(t, j, EndedByLogOut, "four")
	want := map[string]EndReason{"one": EndedByLogOut, "two": EndedByOwner, "three": EndedByOwner, "four": EndedByLogOut}
	failing := collected{keys: map[string]EndReason{}, fail: errors.New("still away")}
	if done, _, err := j.work(t.Context(), failing.end); err == nil || done != 0 {
		t.Errorf("with the database away %d were stored, %v", done, err)
	}
	mustWork(t, newJournal(filepath.Dir(j.path)), 0, want) // as another start does
	mustWork(t, j, 0, nil)
	info, err := os.Stat(j.path)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v, %v", info, err)
	}
}

// TestALineCutOffByACrashSpoilsNoOther cuts the file off in its last line at
// each byte, and goes on with what is left.
func TestALineCutOffByACrashSpoilsNoOther(t *testing.T) {
	j := newJournal(t.TempDir())
	mustAdd(t, j, EndedByLogOut, "first")
	whole := size(t, j)
	mustAdd(t, j, EndedByLogOut, "cut")
	content, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	for length := whole; length < len(content); length++ {
		if err := os.WriteFile(j.path, content[:length], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, endings, _, err := j.read(); err != nil || !slices.Equal(endings[EndedByLogOut], []string{"first"}) {
			t.Errorf("cut to %d bytes: read %v, %v", length, endings, err)
		}
		mustAdd(t, j, EndedByOwner, "later")
		c := collected{keys: map[string]EndReason{}}
		_, _, err := j.work(t.Context(), c.end)
		delete(c.keys, "cut") // it did end, whether or not anybody was told
		if want := map[string]EndReason{"first": EndedByLogOut, "later": EndedByOwner}; err != nil || !maps.Equal(c.keys, want) {
			t.Errorf("cut to %d bytes: stored %v, %v; want %v", length, c.keys, err, want)
		}
	}
}

func TestALineThatIsNoEndingIsCountedAndLeavesTheOthers(t *testing.T) {
	j := newJournal(t.TempDir())
	mustAdd(t, j, EndedByLogOut, "before")
	file, err := os.OpenFile(j.path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteString(strings.Repeat("\x00", 4096) + "\n{\"keys\":\n")
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	mustAdd(t, j, EndedByLogOut, "after")
	mustWork(t, j, 2, map[string]EndReason{"before": EndedByLogOut, "after": EndedByLogOut})
}

func TestAJournalTakesEndingsOfAnySize(t *testing.T) {
	j := newJournal(t.TempDir())
	keys, want := make([]string, 10_000), map[string]EndReason{}
	for i := range keys {
		keys[i] = fmt.Sprintf("%043d", i)
		want[keys[i]] = EndedByOwner
	}
	mustAdd(t, j, EndedByOwner, keys...)
	mustAdd(t, j, EndedByLogOut, "last")
	want["last"] = EndedByLogOut
	mustWork(t, j, 0, want)
}

func TestAFullJournalRefuses(t *testing.T) {
	j := newJournal(t.TempDir())
	if err := os.WriteFile(j.path, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(j.path, maxJournalBytes+1); err != nil {
		t.Fatal(err)
	}
	if err := j.add(t.Context(), []string{"one more"}, EndedByLogOut); err == nil {
		t.Error("a journal without end took one more")
	}
}

// TestEndingsAddedWhileTheJournalIsWorkedOffStay: storing takes as long as a
// database takes, and nobody who logs out waits for it.
func TestEndingsAddedWhileTheJournalIsWorkedOffStay(t *testing.T) {
	j := newJournal(t.TempDir())
	mustAdd(t, j, EndedByLogOut, "before")
	done, _, err := j.work(t.Context(), func(_ context.Context, keys []string, _ EndReason) error {
		mustAdd(t, j, EndedByLogOut, "meanwhile")
		return nil
	})
	if done != 1 || err != nil {
		t.Errorf("%d stored, %v", done, err)
	}
	mustWork(t, j, 0, map[string]EndReason{"meanwhile": EndedByLogOut})
}

// others is how many processes use one journal at once.
const others = 3

// TestProcessesShareAJournal: each adds endings and works the file off, and
// each ending that was acknowledged is stored by one of them.
func TestProcessesShareAJournal(t *testing.T) {
	if dir := os.Getenv("HOLDFAST_TEST_JOURNAL"); dir != "" {
		useJournal(t, newJournal(dir))
		return
	}
	dir := t.TempDir()
	outputs := make([][]byte, others)
	var all sync.WaitGroup
	for i := range outputs {
		all.Go(func() {
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcessesShareAJournal$")
			child.Env = append(os.Environ(), "HOLDFAST_TEST_JOURNAL="+dir)
			var err error
			if outputs[i], err = child.CombinedOutput(); err != nil {
				t.Errorf("process %d: %v\n%s", i, err, outputs[i])
			}
		})
	}
	all.Wait()
	added, stored := map[string]bool{}, map[string]bool{}
	for _, output := range outputs {
		for lines := bufio.NewScanner(strings.NewReader(string(output))); lines.Scan(); {
			if key, ok := strings.CutPrefix(lines.Text(), "added "); ok {
				added[key] = true
			}
			if key, ok := strings.CutPrefix(lines.Text(), "stored "); ok {
				stored[key] = true
			}
		}
	}
	left := collected{keys: map[string]EndReason{}}
	if _, spoilt, err := newJournal(dir).work(t.Context(), left.end); err != nil || spoilt > 0 {
		t.Errorf("%d lines spoilt, %v", spoilt, err)
	}
	if len(added) != others*100 {
		t.Errorf("%d endings were added, want %d", len(added), others*100)
	}
	for key := range added {
		if !stored[key] && left.keys[key] == "" {
			t.Errorf("the ending of %s is lost", key)
		}
	}
}

func useJournal(t *testing.T, j journal) {
	for n := range 100 {
		key := fmt.Sprintf("%d-%d", os.Getpid(), n)
		err := whileLocked(func() error { return j.add(t.Context(), []string{key}, EndedByLogOut) })
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("added", key)
		if n%5 > 0 {
			continue
		}
		spoilt := 0
		err = whileLocked(func() (err error) {
			_, spoilt, err = j.work(t.Context(), func(_ context.Context, keys []string, _ EndReason) error {
				for _, key := range keys {
					fmt.Println("stored", key)
				}
				return nil
			})
			return err
		})
		if err != nil || spoilt > 0 {
			t.Fatalf("%d lines spoilt, %v", spoilt, err)
		}
	}
}

// whileLocked runs act again while the other processes keep the journal locked for
// longer than it waits, as they do on a busy machine.
func whileLocked(act func() error) (err error) {
	for range 10 {
		if err = act(); !errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	return err
}

func size(t *testing.T, j journal) int {
	t.Helper()
	info, err := os.Stat(j.path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Size())
}
