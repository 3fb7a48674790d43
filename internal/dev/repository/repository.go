// Package repository copies this repository for tests that change the code and
// build or test the result with the go command. It is not part of the application.
package repository

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/require"
)

// top is the top of the repository, from the directory of this package's tests.
const top = "../../.."

// notCopied lists the history, and the settings and data of this machine.
var notCopied = []string{".git", ".data", ".env"}

// Copy copies the repository into a temporary directory of the test and returns
// its path. It skips the test if there is no go command.
func Copy(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("repository: no go command to try a copy with: %v", err)
	}
	entries, err := os.ReadDir(top)
	require.NoError(t, err)
	to := t.TempDir()
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case slices.Contains(notCopied, name):
			continue
		case entry.IsDir():
			err = os.CopyFS(filepath.Join(to, name), os.DirFS(filepath.Join(top, name)))
		case entry.Type().IsRegular():
			var text []byte
			if text, err = os.ReadFile(filepath.Join(top, name)); err == nil {
				err = os.WriteFile(filepath.Join(to, name), text, 0o644)
			}
		}
		if err != nil {
			t.Fatalf("repository: copy %s: %v", name, err)
		}
	}
	return to
}

// Go runs the go command in folder and returns what it printed. It fails the test if
// the command fails, and logs how long it took. Packages of other modules come from the
// cache of the go command; those of the copy are built.
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

// CompileInPlace compiles packages of the repository and their tests, with these files
// of the copy replacing the originals: other packages come from the build cache.
func CompileInPlace(t *testing.T, copied string, files []string, packages ...string) {
	t.Helper()
	original, err := filepath.Abs(top)
	require.NoError(t, err)
	replace := map[string]string{}
	for _, file := range files {
		name, err := filepath.Rel(copied, file)
		require.NoError(t, err)
		replace[filepath.Join(original, name)] = file
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "overlay.json")
	require.NoError(t, os.WriteFile(path, overlay, 0o600))
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
