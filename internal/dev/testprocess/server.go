package testprocess

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/dev/testservice"
)

// Server is a holdfast that serves. After its end it can be started again, at
// the same address and in the same folder.
type Server struct {
	URL  string // what it announced as the address to open
	Dir  string // the folder it was started in
	Took time.Duration

	t        testing.TB
	program  string
	settings Settings
	secrets  []string
	cmd      *exec.Cmd
	out, err *output
	done     chan struct{} // closed when the process has ended
}

// Start starts a server with these settings in dir, on 127.0.0.1 and a free
// port where they name none, and returns when it has announced itself. It is
// killed at the test's end.
func Start(t testing.TB, program, dir string, settings Settings) *Server {
	t.Helper()
	s := &Server{Dir: dir, t: t, program: program, settings: maps.Clone(settings)}
	if s.settings == nil {
		s.settings = Settings{}
	}
	t.Cleanup(s.end)
	if _, set := s.settings["HOST"]; !set {
		s.settings["HOST"] = "127.0.0.1"
	}
	// Tests sign up and log in many from one address.
	if _, set := s.settings["THROTTLE"]; !set {
		s.settings["THROTTLE"] = "off"
	}
	if _, set := s.settings["PORT"]; set {
		s.Start()
		return s
	}
	var err error
	for range 3 { // another process may have taken the port meanwhile
		s.settings["PORT"] = strconv.Itoa(testservice.FreePort(t))
		if err = s.start(); err == nil || !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	if err != nil {
		t.Fatalf("testprocess: %v", err)
	}
	return s
}

// Start starts an ended server again.
func (s *Server) Start() {
	s.t.Helper()
	if err := s.start(); err != nil {
		s.t.Fatalf("testprocess: %v", err)
	}
}

func (s *Server) start() error {
	if s.running() {
		return errors.New("the server is running already")
	}
	s.out, s.err, s.done = &output{}, &output{}, make(chan struct{})
	s.cmd = exec.Command(s.program)
	s.cmd.Dir, s.cmd.Env = s.Dir, s.settings.environ()
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.err
	started := time.Now()
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	release, err := guard(s.cmd.Process.Pid)
	go func() {
		_ = s.cmd.Wait() // how it ended is in its ProcessState
		release()
		close(s.done)
	}()
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	err = poll(startLimit, func() error {
		if !s.running() {
			return nil
		}
		return s.announced()
	})
	s.Took = time.Since(started)
	if err == nil {
		err = s.announced()
	}
	if err != nil {
		return fmt.Errorf("the server did not come up (%v): %w\n%s%s", s.cmd.ProcessState, err, s.out, s.err)
	}
	return nil
}

// announced reads the address from the lines that a start prints.
func (s *Server) announced() error {
	lines := s.out.String()
	for line := range strings.Lines(lines) {
		if words := strings.Fields(line); len(words) == 2 && words[0] == "open" && strings.HasSuffix(line, "\n") {
			s.URL = words[1]
		}
	}
	if s.URL == "" || !strings.Contains(lines, "\n  people ") {
		return errors.New("no announcement")
	}
	return nil
}

func (s *Server) running() bool {
	if s.done == nil {
		return false
	}
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// Announcement is what this run printed for people.
func (s *Server) Announcement() string { return s.out.String() }

// Log is what this run logged so far.
func (s *Server) Log() string { return s.err.String() }

// PID is the process id of this run.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Keep names a secret that no run may ever say; it is looked for at the end of
// each.
func (s *Server) Keep(secret string) { s.secrets = append(s.secrets, secret) }

// Setting is the value that this server was given.
func (s *Server) Setting(name string) string { return s.settings[name] }

// Command runs another command of the same program, with this server's settings
// and in its folder.
func (s *Server) Command(args ...string) Result {
	s.t.Helper()
	return Run(s.t, s.program, s.Dir, s.settings, args...)
}

// Terminate asks the server to stop (SIGTERM) and returns at once.
func (s *Server) Terminate() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
}

// Interrupt is what Ctrl-C at a terminal does (SIGINT); it returns at once.
func (s *Server) Interrupt() {
	s.t.Helper()
	s.signal(os.Interrupt)
}

func (s *Server) signal(which os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(which); err != nil {
		s.t.Fatalf("testprocess: send %s: %v", which, err)
	}
}

// Wait waits until the server has ended, for at most limit.
func (s *Server) Wait(limit time.Duration) Result {
	s.t.Helper()
	started := time.Now()
	select {
	case <-s.done:
	case <-time.After(limit):
		s.t.Fatalf("testprocess: the server had not ended %s after it was told to\n%s", limit, s.Log())
	}
	s.look()
	return Result{s.cmd.ProcessState.ExitCode(), s.out.String(), s.err.String(), time.Since(started)}
}

// Stop stops the server in good order, which must succeed.
func (s *Server) Stop() {
	s.t.Helper()
	s.Terminate()
	if end := s.Wait(30 * time.Second); end.Code != 0 {
		s.t.Fatalf("testprocess: the server ended with %d after SIGTERM\n%s", end.Code, end.Stderr)
	}
}

// Kill ends the server in the middle of whatever it does (SIGKILL).
func (s *Server) Kill() {
	s.t.Helper()
	if err := s.kill(); err != nil {
		s.t.Fatalf("testprocess: %v", err)
	}
	s.look()
}

func (s *Server) kill() error {
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill: %w", err)
	}
	<-s.done
	return nil
}

// end is for the end of the test, however that came.
func (s *Server) end() {
	if !s.running() {
		return
	}
	if err := s.kill(); err != nil {
		s.t.Errorf("testprocess: %v", err)
	}
	s.look()
	if s.t.Failed() {
		s.t.Logf("log of the server:\n%s", tail(s.Log()))
	}
}

func (s *Server) look() {
	s.t.Helper()
	lookThrough(s.t, s.out.String()+s.err.String(), s.secrets)
}

func tail(log string) string {
	const most = 6000
	return log[max(0, len(log)-most):]
}
