package testservice

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"holdfast/internal/dev/require"
)

// service is a server program with its files. If a test does not share it, the test may
// stop, start, kill, pause and resume it.
type service struct {
	t          testing.TB
	name       string // of the program
	folder     string
	stop, last syscall.Signal // stop: graceful shutdown; last: when its test or the test process ends
	command    func() *exec.Cmd
	ready      func(context.Context) error
	shared     bool // by all tests of this process
	run        *process
}

func (s *service) log() string { return filepath.Join(s.folder, s.name+".log") }

func (s *service) start() error {
	run, err := launch(s.command(), s.log(), s.folder, strconv.Itoa(int(s.last)))
	if err != nil {
		return err
	}
	s.run = run
	if err := poll(run, s.ready); err != nil {
		run.end(s.last)
		return fmt.Errorf("%w\n%s", err, tail(s.log()))
	}
	return nil
}

// startOnFreePort calls use with the port before each attempt.
func (s *service) startOnFreePort(use func(port int)) (err error) {
	for range 3 { // another process may have taken the port meanwhile
		use(FreePort(s.t))
		if err = s.start(); err == nil {
			return nil
		}
	}
	return err
}

// endWithTest stops the server when its test ends.
func (s *service) endWithTest() {
	s.t.Cleanup(func() {
		if err := s.run.end(s.last); err != nil {
			s.t.Errorf("testservice: end %s: %v", s.name, err)
		}
		if s.t.Failed() {
			s.t.Logf("testservice: log of %s:\n%s", s.name, tail(s.log()))
		}
	})
}

// Start starts a stopped or killed server again, with the same port, files and options.
// It returns when the server responds.
func (s *service) Start() {
	s.t.Helper()
	s.own()
	if s.run.running() {
		s.t.Fatalf("testservice: %s is running already", s.name)
	}
	if err := s.start(); err != nil {
		s.t.Fatalf("testservice: start %s again: %v", s.name, err)
	}
}

// Stop shuts down the server gracefully, including its connections, and waits until it
// exits.
func (s *service) Stop() {
	s.t.Helper()
	s.end(s.stop)
}

// Kill kills the server immediately (SIGKILL).
func (s *service) Kill() {
	s.t.Helper()
	s.end(syscall.SIGKILL)
}

func (s *service) end(how syscall.Signal) {
	s.t.Helper()
	s.own()
	if err := s.run.end(how); err != nil {
		s.t.Fatalf("testservice: stop %s: %v", s.name, err)
	}
}

// Pause suspends all processes of the server (SIGSTOP). The server keeps its
// connections and the system accepts new ones, but the server does not respond until
// Resume.
func (s *service) Pause() {
	s.t.Helper()
	s.own()
	if !s.run.running() {
		s.t.Fatal("testservice: a stopped server cannot be paused")
	}
	err := s.run.pause()
	if errors.Is(err, errors.ErrUnsupported) {
		s.t.Skip("testservice: a process cannot be paused on this system")
	}
	if err != nil {
		s.t.Fatalf("testservice: pause: %v", err)
	}
}

// Resume resumes a paused server.
func (s *service) Resume() {
	s.t.Helper()
	s.own()
	s.run.resume()
}

// own fails a test that would stop or pause a shared server.
func (s *service) own() {
	s.t.Helper()
	if s.shared {
		s.t.Fatalf("testservice: other tests share this server: use a private one")
	}
}

// serve runs a program until the test ends. It returns when addr accepts connections.
func serve(t testing.TB, folder, addr, program string, args ...string) {
	t.Helper()
	path := Program(t, program)
	s := &service{
		t: t, name: filepath.Base(program), folder: folder, last: syscall.SIGTERM,
		command: func() *exec.Cmd { return exec.Command(path, args...) },
		ready: func(ctx context.Context) error {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if err != nil {
				return err
			}
			return conn.Close()
		},
	}
	if err := s.start(); err != nil {
		t.Fatalf("testservice: start %s: %v", program, err)
	}
	s.endWithTest()
}

// written writes text to a file in a new directory and returns its path.
func written(t testing.TB, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// HAProxy runs haproxy with this configuration until the test ends. It returns when
// addr accepts connections.
func HAProxy(t testing.TB, conf, addr string) {
	t.Helper()
	path := written(t, "haproxy.cfg", conf)
	serve(t, filepath.Dir(path), addr, "haproxy", "-db", "-f", path)
}

// PgBouncer runs pgbouncer with this configuration until the test ends. It returns when
// addr accepts connections. If the tests run as root, the configuration needs a line
// "user = …".
func PgBouncer(t testing.TB, conf, addr string) {
	t.Helper()
	path := written(t, "pgbouncer.ini", conf)
	serve(t, filepath.Dir(path), addr, "pgbouncer", path)
}

// Sentinel runs redis-server as a Redis Sentinel with this configuration until the test
// ends. It returns the loopback address that the Sentinel listens on.
func Sentinel(t testing.TB, conf string) (addr string) {
	t.Helper()
	port := strconv.Itoa(FreePort(t))
	path := written(t, "sentinel.conf", conf) // which the Sentinel writes to
	addr = net.JoinHostPort("127.0.0.1", port)
	serve(t, filepath.Dir(path), addr, "redis-server", path, "--sentinel", "--bind", "127.0.0.1", "--port", port, "--dir", filepath.Dir(path))
	return addr
}
