package testservice

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"holdfast/internal/dev/require"
)

// serve runs cmd until the test's end. It returns when addr takes connections.
// The files of the program, and its log, are in folder; signal last ends it if
// the test process dies first.
func serve(t testing.TB, cmd *exec.Cmd, folder, addr, last string) {
	t.Helper()
	name := filepath.Base(cmd.Path)
	log := filepath.Join(folder, name+".log")
	run, err := launch(cmd, log, folder, last)
	if err != nil {
		t.Fatalf("testservice: start %s: %v", name, err)
	}
	t.Cleanup(func() {
		if err := run.end(syscall.SIGTERM); err != nil {
			t.Errorf("testservice: end %s: %v", name, err)
		}
		if t.Failed() {
			t.Logf("testservice: log of %s:\n%s", name, tail(log))
		}
	})
	err = poll(run, startLimit, func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		t.Fatalf("testservice: start %s: %v\n%s", name, err, tail(log))
	}
}

// written is the path of a new file with this text in a folder of its own.
func written(t testing.TB, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// HAProxy runs haproxy with this configuration until the test's end. It returns
// when addr takes connections.
func HAProxy(t testing.TB, conf, addr string) {
	t.Helper()
	path := written(t, "haproxy.cfg", conf)
	serve(t, exec.Command(Program(t, "haproxy"), "-db", "-f", path), filepath.Dir(path), addr, "TERM")
}

// Sentinel runs redis-server as a Redis Sentinel with this configuration until
// the test's end, on the loopback address that it returns.
func Sentinel(t testing.TB, conf string) (addr string) {
	t.Helper()
	port := strconv.Itoa(FreePort(t))
	path := written(t, "sentinel.conf", conf) // which it writes to
	addr = net.JoinHostPort("127.0.0.1", port)
	serve(t, exec.Command(Program(t, "redis-server"), path, "--sentinel", "--bind", "127.0.0.1", "--port", port, "--dir", filepath.Dir(path)),
		filepath.Dir(path), addr, "KILL")
	return addr
}
