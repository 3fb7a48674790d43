package main_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
)

// TestADeletedAccountLeavesNothingInTheFiles allows only the email that confirms the
// deletion.
func TestADeletedAccountLeavesNothingInTheFiles(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	ada := member(t, server)
	ada.send("/session", "/session", map[string]string{"key": "colour", "value": "chartreuse-kelp"})
	ada.send("/forgot", "/forgot", map[string]string{"email": ada.email})
	awaitEmail(t, server.Dir, "reset")
	ada.send("/account/delete", "/account/delete", map[string]string{"email": ada.email})
	awaitEmail(t, server.Dir, "deleted")
	server.Stop()
	require.NoError(t, filepath.WalkDir(server.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.Contains(path, "-deleted-") {
			return err
		}
		content, err := os.ReadFile(path)
		for _, word := range []string{ada.email, "chartreuse-kelp", "$argon2id$v="} {
			if bytes.Contains(content, []byte(word)) {
				t.Errorf("%s has %q", path, word)
			}
		}
		return err
	}))
}

// awaitEmail waits for an email of this kind in the mail directory.
func awaitEmail(t *testing.T, dir, kind string) {
	t.Helper()
	testkit.Eventually(t, testkit.Patience, "an email of kind "+kind, func() error {
		found, err := filepath.Glob(filepath.Join(dir, ".data", "mail", "*-"+kind+"-*.eml"))
		if err == nil && len(found) == 0 {
			err = fs.ErrNotExist
		}
		return err
	})
}
