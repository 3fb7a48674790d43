package second_test

import (
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/learn/second"
)

var build = sync.OnceValues(func() (string, error) {
	return testprocess.Build(os.TempDir(), "holdfast/cmd/holdfast")
})

func program(t *testing.T) string {
	t.Helper()
	built, err := build()
	require.NoError(t, err)
	return built
}

func options(t *testing.T, program string, life time.Duration) second.Options {
	t.Helper()
	return second.Options{
		Executable: program, Host: "127.0.0.1", Base: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, Life: life,
		Settings: []string{"DATA_DIR=" + t.TempDir(), "SESSION_STORE=memory", "DATABASE_TIMEOUT=10s", "HOME=" + t.TempDir()},
	}
}

// gone waits until nothing listens on the port any more.
func gone(t *testing.T, port int, when string) {
	t.Helper()
	testkit.Eventually(t, testkit.Patience, when, func() error {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			conn.Close()
			return errors.New("it still listens")
		}
		return nil
	})
}

func TestASecondServerEndsByItself(t *testing.T) {
	program := program(t)
	const life = 3 * time.Second
	server := second.New(options(t, program, life))
	require.NoError(t, server.Start(t.Context()))
	state := server.State()
	if left := time.Until(state.Ends); state.Process == os.Getpid() || left > life {
		t.Errorf("after its start: %+v", state)
	}
	testkit.Eventually(t, testkit.Patience, "know that it has ended", func() error {
		if server.State().Running {
			return errors.New("it is said to run")
		}
		return nil
	})
	gone(t, state.Port, "end by itself")
	if err := server.Start(t.Context()); err != nil {
		t.Fatalf("start it again: %v", err)
	}
	server.Close()
}

// TestASecondServerTakesAnotherPortIfItsOwnIsTaken: between the choice of a port and the
// start of the server on it, anything on the machine may take it.
func TestASecondServerTakesAnotherPortIfItsOwnIsTaken(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	dir := t.TempDir()
	script := filepath.Join(dir, "program")
	require.NoError(t, os.WriteFile(script, []byte(`#!/bin/sh
if mkdir "$TAKEN_DIR"; then
	"$TAKEN_PROGRAM" serve </dev/null >"$TAKEN_DIR/out" & echo $! >"$TAKEN_DIR/pid"
	until grep -q database "$TAKEN_DIR/out"; do sleep 0.05; done
fi
exec "$TAKEN_PROGRAM" "$@"
`), 0o755))
	o := options(t, script, time.Hour)
	taken := filepath.Join(dir, "taken")
	o.Settings = append(o.Settings, "TAKEN_DIR="+taken, "TAKEN_PROGRAM="+program(t))
	server := second.New(o)
	t.Cleanup(func() {
		server.Close()
		pid, err := os.ReadFile(filepath.Join(taken, "pid"))
		require.NoError(t, err)
		id, err := strconv.Atoi(strings.TrimSpace(string(pid)))
		require.NoError(t, err)
		other, err := os.FindProcess(id)
		require.NoError(t, err)
		require.NoError(t, other.Kill())
	})
	require.NoError(t, server.Start(t.Context()))
	if state := server.State(); !state.Running {
		t.Errorf("its port was taken, and it did not take another: %+v", state)
	}
}

func TestThereIsOneSecondServerUntilItIsClosed(t *testing.T) {
	server := second.New(options(t, program(t), time.Hour))
	if _, err := server.Ask(t.Context(), ""); !errors.Is(err, second.ErrNone) {
		t.Errorf("asked before it runs: %v", err)
	}
	require.NoError(t, server.Start(t.Context()))
	state := server.State()
	if !state.Running {
		t.Errorf("after its start: %+v", state)
	}
	if err := server.Start(t.Context()); !errors.Is(err, second.ErrRunning) {
		t.Errorf("started twice: %v", err)
	}
	if greeting, err := server.Ask(t.Context(), ""); err != nil || greeting != "" {
		t.Errorf("a guest is greeted with %q, %v", greeting, err)
	}
	server.Close()
	gone(t, state.Port, "end when asked to")
	if err := server.Start(t.Context()); !errors.Is(err, second.ErrClosed) {
		t.Errorf("started after the end: %v", err)
	}
}
