package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
)

// TestDataRemovedUnderTheServerIsNoticed: the files are still open, but what is written
// to them would be lost at the next start.
func TestDataRemovedUnderTheServerIsNoticed(t *testing.T) {
	t.Parallel()
	postgres := testkit.Postgres(t).URL
	each(t, map[string]testprocess.Settings{
		"all embedded":          {},
		"embedded Redis":        onServices("", postgres),
		"sessions in the table": {"SESSION_STORE": "database"},
		"sessions in a file":    {"SESSION_STORE": "file", "DATABASE_URL": postgres},
	}, func(t *testing.T, name string, settings testprocess.Settings) {
		server := start(t, settings)
		ada := member(t, server)
		if settings["DATABASE_URL"] == "" {
			mustLog(t, server, `msg="email sent"`) // its file would bring the folder back
		}
		testkit.Eventually(t, answerLimit, "remove the files", func() error { // the server may create one meanwhile
			return os.RemoveAll(filepath.Join(server.Dir, ".data"))
		})
		got, err := ada.stranger().submit("/register", "/register", map[string]string{"name": "Grace", "email": "grace@example.org", "password": password})
		require.NoError(t, err)
		if got.Code != http.StatusServiceUnavailable {
			t.Errorf("a sign-up after the data was removed: %d to %s", got.Code, got.Header.Get("Location"))
		}
		if strings.HasPrefix(name, "sessions in a file") || name == "embedded Redis" {
			return // the database is elsewhere and stays ready
		}
		if got, err := ada.ask("GET", "/readyz", nil); err != nil || got.Code != http.StatusServiceUnavailable {
			t.Errorf("/readyz: %d, %v", got.Code, err)
		}
		mustLog(t, server, "removed or replaced while it was open")
	})
}

// TestADamagedSessionFileIsSaidAndEndsNothing truncates or overwrites the file under a
// running server, which maps it into memory, and then starts the server again.
func TestADamagedSessionFileIsSaidAndEndsNothing(t *testing.T) {
	t.Parallel()
	each(t, map[string]func(t *testing.T, file string, size int64){
		"half":  func(t *testing.T, file string, size int64) { require.NoError(t, os.Truncate(file, size/2)) },
		"8 KiB": func(t *testing.T, file string, _ int64) { require.NoError(t, os.Truncate(file, 8<<10)) },
		"zeros": func(t *testing.T, file string, size int64) {
			out, err := os.OpenFile(file, os.O_WRONLY, 0)
			require.NoError(t, err)
			defer out.Close()
			_, err = out.WriteAt(make([]byte, size-8<<10), 8<<10)
			require.NoError(t, err)
		},
	}, func(t *testing.T, _ string, damage func(t *testing.T, file string, size int64)) {
		server := start(t, testprocess.Settings{"SESSION_STORE": "file"})
		ada := member(t, server)
		file := filepath.Join(server.Dir, ".data", "sessions.bolt")
		info, err := os.Stat(file)
		require.NoError(t, err)
		damage(t, file, info.Size())
		for range 3 {
			if _, err := ada.ask("GET", "/profile", nil); err != nil {
				t.Fatalf("the server does not answer: %v", err)
			}
		}
		if got, err := ada.ask("GET", "/healthz", nil); err != nil || got.Code != http.StatusOK {
			t.Fatalf("/healthz: %d, %v", got.Code, err)
		}
		server.Kill()
		again := testprocess.Run(t, program(t), server.Dir, server.Settings(), "serve", "--stop-with-stdin")
		said := again.Output()
		if strings.Contains(said, "goroutine ") || !strings.Contains(said, "sessions.bolt") && !strings.Contains(said, "context canceled") {
			t.Errorf("started again, it ended with %d and said\n%s", again.Code, said)
		}
	})
}
