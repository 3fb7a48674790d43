package main_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
