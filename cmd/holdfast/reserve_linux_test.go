package main_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
)

// smallDisk mounts a file system of 24 MB, which needs root. Its path is short enough
// for a socket.
func smallDisk(t testing.TB) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "disk")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.Remove(dir)) })
	err = unix.Mount("tmpfs", dir, "tmpfs", 0, "size=24m")
	if errors.Is(err, unix.EPERM) {
		t.Skip("mounting a small file system needs root")
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// fillUp creates a file that takes almost all free space in one step. Writing it until
// the disk is full would also take the space that the server frees meanwhile.
func fillUp(t testing.TB, file string) {
	t.Helper()
	const left = 128 << 10
	out, err := os.Create(file)
	require.NoError(t, err)
	defer out.Close()
	var disk unix.Statfs_t
	require.NoError(t, unix.Fstatfs(int(out.Fd()), &disk))
	require.NoError(t, unix.Fallocate(int(out.Fd()), 0, 0, int64(disk.Bavail)*disk.Bsize-left))
}

// TestOnAFullDiskPeopleCanStillLogOut: only revocations use the space that the server
// has reserved.
func TestOnAFullDiskPeopleCanStillLogOut(t *testing.T) {
	t.Parallel()
	each(t, map[string]string{"embedded Redis": "redis", "database": "database", "file": "file"}, func(t *testing.T, _ string, kind string) {
		disk := smallDisk(t)
		server := start(t, testprocess.Settings{"DATA_DIR": filepath.Join(disk, "data"), "SESSION_STORE": kind, "THROTTLE": "off"})
		ada, grace, jean := member(t, server), member(t, server), member(t, server)
		thief := ada.thief()
		testkit.Eventually(t, answerLimit, "the welcome emails, which take room", func() error {
			if n := strings.Count(server.Log(), `msg="email sent"`); n != 3 {
				return fmt.Errorf("%d are sent", n)
			}
			return nil
		})
		filler := filepath.Join(disk, "filler")
		fillUp(t, filler)
		testkit.Eventually(t, answerLimit, "the use of all room in the files", func() error {
			got, err := jean.stranger().submit("/session", "/session", map[string]string{"key": "k", "value": rand.Text()})
			if err == nil && got.Code != http.StatusServiceUnavailable {
				err = fmt.Errorf("status %d", got.Code)
			}
			return err
		})
		ada.logOut()
		require.NoError(t, errors.Join(asked(thief), greeted(grace), greeted(jean)))
		if kind != "file" { // only one process can open the file
			mustSucceed(t, server.Command("users", "disable", "--email", grace.email))
			testkit.Eventually(t, answerLimit, "the end of the disabled account's session", func() error { return asked(grace) })
		}
		testkit.Eventually(t, answerLimit, "the full disk in /readyz", func() error {
			got, err := jean.ask("GET", "/readyz", nil)
			if err == nil && (got.Code != http.StatusServiceUnavailable || !strings.Contains(string(got.Body), "disk is full")) {
				err = fmt.Errorf("%d, %s", got.Code, got.Body)
			}
			return err
		})
		got, err := jean.submit("/account", "/account/name", map[string]string{"name": "Jean"})
		if err != nil || got.Code != http.StatusServiceUnavailable || got.text("h1") != "The server’s disk is full" {
			t.Errorf("a new name: %d %q, %v", got.Code, got.text("h1"), err)
		}
		if kind == "redis" {
			time.Sleep(11 * time.Second) // the server checks for free space twice
		}
		require.NoError(t, os.Remove(filler))
		testkit.Steadily(t, answerLimit, "with room again", func() error { return up(jean) })
		testkit.Eventually(t, answerLimit, "one line in the log, and one for its end", func() error {
			full := strings.Count(server.Log(), "the disk is full: only logouts")
			if room := strings.Count(server.Log(), "the disk has room again"); full > 1 || full != room {
				return fmt.Errorf("%d lines and %d in\n%s", full, room, server.Log())
			}
			return nil
		})
	})
}

// TestADataDirThatCannotBeWrittenIsAWarning: with real services, the server needs it
// only in an outage, which is too late to find out.
func TestADataDirThatCannotBeWrittenIsAWarning(t *testing.T) {
	t.Parallel()
	settings := services(t)
	disk := smallDisk(t)
	require.NoError(t, unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	maps.Copy(settings, testprocess.Settings{"DATA_DIR": disk, "SMTP_URL": "smtp://127.0.0.1:1", "MAIL_FROM": "holdfast@example.org"})
	server := start(t, settings)
	testkit.Eventually(t, answerLimit, "warn in /readyz", func() error {
		got, err := newVisitor(t, server.URL).ask("GET", "/readyz", nil)
		if err == nil && !strings.Contains(string(got.Body), "warning: DATA_DIR cannot be written") {
			err = fmt.Errorf("%d %s", got.Code, got.Body)
		}
		return err
	})
	mustLog(t, server, "DATA_DIR cannot be written")
}
