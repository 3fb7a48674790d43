// Package repository makes copies of this repository for tests that change the
// code and try what became of it with the go command. It is not part of the
// application.
package repository

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// notCopied are the history, and the settings and data of this machine.
var notCopied = []string{".git", ".data", ".env"}

// Copy copies the repository that the test stands in into a folder of the
// test's own and returns that. It skips the test, and says so, where there is
// no go command.
func Copy(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("repository: there is no go command here to try a copy with: %v", err)
	}
	top := top(t)
	to := t.TempDir()
	err := filepath.WalkDir(top, func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		file, err := filepath.Rel(top, at)
		if err != nil {
			return err
		}
		switch {
		case slices.Contains(notCopied, file):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, file), 0o755)
		case !entry.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(at)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, file), text, 0o644)
	})
	if err != nil {
		t.Fatalf("repository: copy: %v", err)
	}
	return to
}

// top is the folder of go.mod, above the folder of the test.
func top(t *testing.T) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder
		}
		above := filepath.Dir(folder)
		if above == folder {
			t.Fatal("repository: no go.mod above the test")
		}
		folder = above
	}
}

// Go runs the go command in folder and returns what it printed. It fails the
// test when the command fails, and logs how long it took. Packages of
// others come from the cache of the go command; those of the copy are built.
func Go(t *testing.T, folder string, args ...string) string {
	t.Helper()
	began := time.Now()
	out, err := Try(t, folder, args...)
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	t.Logf("go %s took %.1f s", strings.Join(args, " "), time.Since(began).Seconds())
	return out
}

// CompileInPlace compiles packages of the repository and their tests as if files,
// which are in the copy, stood in it: what they leave alone comes from the cache.
func CompileInPlace(t *testing.T, copied string, files []string, packages ...string) {
	t.Helper()
	top := top(t)
	replace := map[string]string{}
	for _, file := range files {
		name, err := filepath.Rel(copied, file)
		if err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(top, name)] = file
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(path, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	Go(t, top, append([]string{"list", "-export", "-test", "-overlay", path}, packages...)...)
}

// Try is Go for a command that may fail.
func Try(t *testing.T, folder string, args ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Dir = folder
	command.Env = append(os.Environ(), "GOWORK=off")
	out, err := command.CombinedOutput()
	return string(out), err
}
