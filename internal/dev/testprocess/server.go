package testprocess

import (
	"errors"
	"maps"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/launch"
)

// Server is a holdfast server. After it exits, it can be started again at the same
// address and in the same folder.
type Server struct {
	*launch.Server // the current run

	URL string // the announced address
	Dir string // the folder it was started in

	t        testing.TB
	program  string
	settings Settings
	secrets  []string
}

// Start starts a server with these settings in dir and returns when it has announced
// itself. Unless the settings say otherwise, it listens on 127.0.0.1 and a free port.
// It is killed when the test ends.
func Start(t testing.TB, program, dir string, settings Settings) *Server {
	t.Helper()
	// Tests sign up and log in many people from one address.
	s := &Server{Dir: dir, t: t, program: program, settings: Settings{"HOST": "127.0.0.1", "THROTTLE": "off"}}
	maps.Copy(s.settings, settings)
	t.Cleanup(s.end)
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

// Start starts a stopped server again.
func (s *Server) Start() {
	s.t.Helper()
	if err := s.start(); err != nil {
		s.t.Fatalf("testprocess: %v", err)
	}
}

func (s *Server) start() error {
	if s.running() {
		return errors.New("the server is already running")
	}
	run, err := launch.Start(s.t.Context(), launch.Command{
		// The server exits with the test process, which holds its input.
		Program: s.program, Args: []string{"--stop-with-stdin", "--lab-sessions=" + strconv.Itoa(campaign.Number(20, 2000))}, Dir: s.Dir,
		Env: s.settings.environ(), Until: "database", StartLimit: startLimit,
	})
	if err != nil {
		return err
	}
	s.Server, s.URL = run, run.URL()
	return nil
}

func (s *Server) running() bool {
	if s.Server == nil {
		return false
	}
	select {
	case <-s.Done():
		return false
	default:
		return true
	}
}

// Settings returns the settings that the server was started with, for a command that
// works on the same stores.
func (s *Server) Settings() Settings { return maps.Clone(s.settings) }

// Keep registers a secret that no run may ever print. Every run is checked for it at
// its end.
func (s *Server) Keep(secret string) { s.secrets = append(s.secrets, secret) }

// Setting returns the value of one of this server's settings.
func (s *Server) Setting(name string) string { return s.settings[name] }

// Command runs another command of the same program, with this server's settings
// and in its folder.
func (s *Server) Command(args ...string) Result {
	s.t.Helper()
	return Run(s.t, s.program, s.Dir, s.settings, args...)
}

// Terminate asks the server to stop (SIGTERM) and returns immediately.
func (s *Server) Terminate() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
}

// Interrupt sends SIGINT, as Ctrl-C at a terminal does, and returns immediately.
func (s *Server) Interrupt() {
	s.t.Helper()
	s.signal(os.Interrupt)
}

func (s *Server) signal(which os.Signal) {
	s.t.Helper()
	if err := s.Signal(which); err != nil {
		s.t.Fatalf("testprocess: %v", err)
	}
}

// Wait waits until the server exits, for at most limit.
func (s *Server) Wait(limit time.Duration) Result {
	s.t.Helper()
	started := time.Now()
	select {
	case <-s.Done():
	case <-time.After(limit):
		s.t.Fatalf("testprocess: the server did not stop within %s\n%s", limit, s.LogTail())
	}
	s.look()
	return Result{s.ExitCode(), s.Announcement(), s.Log(), time.Since(started)}
}

// Stop shuts down the server gracefully, which must succeed.
func (s *Server) Stop() {
	s.t.Helper()
	if err := s.Server.Stop(); err != nil {
		s.t.Fatalf("testprocess: %v", err)
	}
	s.look()
}

// Kill kills the server immediately (SIGKILL).
func (s *Server) Kill() {
	s.t.Helper()
	s.Server.Kill()
	s.look()
}

// end kills a server that still runs at the end of the test.
func (s *Server) end() {
	if !s.running() {
		return
	}
	s.Kill()
	if s.t.Failed() {
		s.t.Logf("log of the server:\n%s", s.LogTail())
	}
}

func (s *Server) look() {
	s.t.Helper()
	lookThrough(s.t, s.Announcement()+s.Log(), s.secrets)
}
