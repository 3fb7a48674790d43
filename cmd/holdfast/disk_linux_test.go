package main_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
)

// These tests simulate a full disk under the embedded Redis with a limit on file size.
// The kernel fails a write beyond the limit as it does on a full disk.

// fill makes a running server's disk full, or makes room again.
func fill(t testing.TB, server *testprocess.Server, full bool) {
	t.Helper()
	limit := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if full {
		limit.Cur = 512
	}
	require.NoError(t, unix.Prlimit(server.PID(), unix.RLIMIT_FSIZE, &limit, nil))
}

// TestWithItsDiskFullTheEmbeddedRedisGreetsAndRevokesNothing: members are greeted and a
// logout is refused. When the server cannot remove a session that was revoked
// elsewhere, it trusts no session.
func TestWithItsDiskFullTheEmbeddedRedisGreetsAndRevokesNothing(t *testing.T) {
	t.Parallel()
	server := start(t, onServices("", testkit.Postgres(t).URL))
	ada, grace := member(t, server), member(t, server)
	fill(t, server, true)
	if got, err := ada.submit("/profile", "/logout", nil); err != nil || got.Code != http.StatusServiceUnavailable {
		t.Errorf("log out: status %d, %v", got.Code, err)
	}
	testkit.Steadily(t, answerLimit, "with the disk full", func() error { return all(greeted(ada), greeted(grace)) })
	query(t, server.Setting("DATABASE_URL"), fmt.Sprintf(`UPDATE devices SET ended_ms = (extract(epoch from now()) * 1000)::bigint, ended_how = 'password'
		WHERE person_id = (SELECT id FROM people WHERE email = '%s') AND ended_ms IS NULL`, ada.email))
	testkit.Steadily(t, answerLimit, "with a revoked session there", func() error {
		return all(refusedBriefly(ada.get("/profile")), refusedBriefly(grace.get("/profile")))
	})
	fill(t, server, false)
	testkit.Steadily(t, answerLimit, "with room again", func() error { return all(asked(ada), greeted(grace)) })
}

// TestWithItsDiskFullAnOlderCopyOfTheEmbeddedRedisIsNotServed: the copy has a session
// that has since logged out, and the server cannot remove it. The disk gets more and
// more room, until there is enough to open the data.
func TestWithItsDiskFullAnOlderCopyOfTheEmbeddedRedisIsNotServed(t *testing.T) {
	t.Parallel()
	server := start(t, onServices("", testkit.Postgres(t).URL))
	ada, grace := member(t, server), member(t, server)
	thief := ada.thief()
	server.Kill() // leaves the writes in the write-ahead log, which only grows
	older := map[string][]byte{}
	for _, name := range []string{"redis.db", "redis.db-wal"} {
		content, err := os.ReadFile(filepath.Join(server.Dir, ".data", name))
		require.NoError(t, err)
		older[name] = content
	}
	if size := len(older["redis.db-wal"]); size < 64<<10 {
		t.Fatalf("the log file has %d bytes: a write would fit", size)
	}
	server.Start()
	ada.logOut()
	server.Stop()
	settings := server.Settings()
	full := filepath.Join(t.TempDir(), "full")
	for room, said := len(older["redis.db-wal"]), ""; !strings.Contains(said, "BEHIND"); room += 4 << 10 {
		script := fmt.Sprintf("#!/bin/sh\nulimit -S -f %d\nexec '%s' \"$@\"\n", room/512, program(t))
		require.NoError(t, os.WriteFile(full, []byte(script), 0o700))
		for name, content := range older {
			require.NoError(t, os.WriteFile(filepath.Join(server.Dir, ".data", name), content, 0o600))
		}
		refused := testprocess.Run(t, full, server.Dir, settings)
		if said = refused.Output(); refused.Code != 1 {
			t.Fatalf("with %d bytes of room it ended with %d and said\n%s", room, refused.Code, said)
		}
	}
	server.Start()
	testkit.Steadily(t, answerLimit, "with room again", func() error { return all(asked(thief), greeted(grace)) })
}

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
		ada, grace, jean, ivy := member(t, server), member(t, server), member(t, server), member(t, server)
		thief := ada.thief()
		testkit.Eventually(t, answerLimit, "the welcome emails, which take room", func() error {
			if n := strings.Count(server.Log(), `msg="email sent"`); n != 4 {
				return fmt.Errorf("%d are sent", n)
			}
			return nil
		})
		filler := filepath.Join(disk, "filler")
		fillUp(t, filler)
		testkit.Eventually(t, answerLimit, "the use of all room in the files", func() error {
			got, err := jean.stranger().submit("/session", "/session", map[string]string{"key": "k", "value": strings.Repeat(rand.Text(), 30)})
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
		left, err := ivy.submit("/account/delete", "/account/delete", map[string]string{"email": ivy.email})
		if err != nil || left.Code != http.StatusSeeOther {
			t.Errorf("a deletion: %d %q, %v", left.Code, left.text("h1"), err)
		}
		mustBe(t, asked, ivy, "having deleted the account")
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

// TestWithoutFilesLeftTheServerSaysThatItAcceptsNoConnection also checks that the
// server accepts connections again once it can open files.
func TestWithoutFilesLeftTheServerSaysThatItAcceptsNoConnection(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	ada := member(t, server)
	open, err := os.ReadDir("/proc/" + strconv.Itoa(server.PID()) + "/fd")
	require.NoError(t, err)
	var before unix.Rlimit
	require.NoError(t, unix.Prlimit(server.PID(), unix.RLIMIT_NOFILE, nil, &before))
	few := unix.Rlimit{Cur: uint64(len(open)) + 2, Max: before.Max}
	require.NoError(t, unix.Prlimit(server.PID(), unix.RLIMIT_NOFILE, &few, nil))
	var held []net.Conn
	for range 10 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
		require.NoError(t, err)
		held = append(held, conn)
	}
	mustLog(t, server, `level=ERROR msg="connections not accepted"`)
	for _, conn := range held {
		require.NoError(t, conn.Close())
	}
	require.NoError(t, unix.Prlimit(server.PID(), unix.RLIMIT_NOFILE, &before, nil))
	testkit.Steadily(t, answerLimit, "with files again", func() error { return greeted(ada) })
	mustLog(t, server, "connections accepted again")
}
