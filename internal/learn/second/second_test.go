package second_test

import (
	"errors"
	"net"
	"net/url"
	"os"
	"strconv"
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
	const life = time.Second
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
