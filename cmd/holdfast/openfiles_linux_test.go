package main_test

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
)

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
