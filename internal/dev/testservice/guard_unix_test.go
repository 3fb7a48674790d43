//go:build unix

package testservice_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/jackc/pgx/v5"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
)

const asVictim = "HOLDFAST_TESTSERVICE_VICTIM"

// TestServersEndWithAKilledTestProcess runs itself again in a process that starts
// servers, and kills that process.
func TestServersEndWithAKilledTestProcess(t *testing.T) {
	if os.Getenv(asVictim) != "" {
		victim(t)
		return
	}
	testservice.Program(t, "redis-server")
	testservice.Program(t, "postgres")
	cmd := exec.Command(os.Args[0], "-test.run=^TestServersEndWithAKilledTestProcess$")
	cmd.Env = append(os.Environ(), asVictim+"=1", "TMPDIR="+os.TempDir())
	in, err := cmd.StdinPipe() // held open: the victim reads until EOF
	require.NoError(t, err)
	defer in.Close()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var addresses, folders []string
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		kind, value, _ := strings.Cut(lines.Text(), " ")
		switch kind {
		case "address":
			addresses = append(addresses, value)
		case "folder":
			folders = append(folders, value)
		}
	}
	cmd.Process.Signal(syscall.SIGKILL)
	cmd.Wait()
	if len(addresses) != 6 || len(folders) != 7 {
		t.Fatalf("the victim started %q with %q", addresses, folders)
	}
	for _, address := range addresses {
		eventually(t, address+" is closed", func() bool {
			conn, err := net.Dial("tcp", address)
			if err == nil {
				conn.Close()
			}
			return err != nil
		})
	}
	for _, folder := range folders {
		eventually(t, folder+" is gone", func() bool {
			_, err := os.Stat(folder)
			return errors.Is(err, fs.ErrNotExist)
		})
	}
}

// victim starts the shared servers, and private ones that run or are paused.
func victim(t *testing.T) {
	announce := func(redisServer *testservice.RedisServer, postgres *testservice.PostgresServer) {
		dir, err := redis.Strings(redisServer.Do("CONFIG", "GET", "dir"))
		require.NoError(t, err)
		conn, err := pgx.Connect(t.Context(), postgres.URL)
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close(context.Background()) })
		var folder string
		require.NoError(t, conn.QueryRow(t.Context(), "SHOW data_directory").Scan(&folder))
		fmt.Printf("address %s\nfolder %s\naddress %s:%d\nfolder %s\n", redisServer.Addr, dir[1], conn.Config().Host, conn.Config().Port, folder)
	}
	announce(testservice.Redis(t), testservice.Postgres(t))
	announce(testservice.PrivateRedis(t), testservice.PrivatePostgres(t))
	pausedRedis, pausedPostgres := testservice.PrivateRedis(t), testservice.PrivatePostgres(t)
	announce(pausedRedis, pausedPostgres)
	pausedRedis.Pause()
	pausedPostgres.Pause()
	fmt.Printf("folder %s\nready\n", os.TempDir())
	io.Copy(io.Discard, os.Stdin)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	const limit = 2 * time.Minute
	deadline := time.After(limit)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("not within %s: %s", limit, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
