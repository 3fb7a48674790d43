// Package launch starts a server program in another process, reads what the program
// announces, and stops it.
//
// It owns starting, waiting for the announcement, the log, and stopping. A process gets
// only the environment that its command lists and inherits nothing from its parent, so
// a resource such as a listening socket stays with the parent. The package must not
// know what a server does.
//
// The standard input of a process is a pipe that only its parent holds. A server that
// stops at the end of its input (--stop-with-stdin) therefore exits with the parent,
// however the parent ends.
package launch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"holdfast/internal/product"
)

const (
	defaultStartLimit = 30 * time.Second
	stopLimit         = 30 * time.Second // from the request to stop until the process exits
	tailBytes         = 4 << 10          // of a log, in an error
)

// Command describes what to start.
type Command struct {
	Program string
	Args    []string
	Dir     string
	// Env is the whole environment, as NAME=value.
	Env []string
	// Until is the name of the announced line that Start waits for; "" means "url", the
	// address.
	Until string
	// LogFile is the file to which the process writes its log directly; "" keeps the
	// log in memory.
	LogFile string
	// StartLimit is how long the announcement may take; 0 means 30 seconds.
	StartLimit time.Duration
}

// Server is a process that has announced itself. It is safe for concurrent use.
type Server struct {
	cmd      *exec.Cmd
	stdin    io.Closer
	out, log output
	logFile  string
	done     chan struct{} // closed when the process has exited
	ended    error         // from Wait, once done is closed
}

// Start starts the program and waits until it has announced itself. ctx limits only the
// start: the server runs until it is stopped or killed. Start returns an [*EndedError]
// if the process exits instead.
func Start(ctx context.Context, c Command) (*Server, error) {
	s := &Server{cmd: exec.Command(c.Program, c.Args...), logFile: c.LogFile, done: make(chan struct{})}
	s.out.wrote = make(chan struct{}, 1)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = c.Dir, &s.out, &s.log
	s.cmd.Env = append([]string{}, c.Env...) // nil would inherit
	s.cmd.WaitDelay = time.Second
	if err := s.run(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(c.Program), err)
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.StartLimit, defaultStartLimit))
	defer cancel()
	if err := s.await(ctx, cmp.Or(c.Until, "url")); err != nil {
		s.Kill()
		return nil, err
	}
	return s, nil
}

func (s *Server) run() (err error) {
	if s.logFile != "" {
		file, err := os.OpenFile(s.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer file.Close()
		s.cmd.Stderr = file
	}
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		s.ended = s.cmd.Wait()
		close(s.done)
	}()
	return nil
}

// await waits for the announced line with this name.
func (s *Server) await(ctx context.Context, name string) error {
	for {
		if s.Says(name) != "" {
			return nil
		}
		select {
		case <-s.out.wrote:
		case <-s.done:
			return s.endedError()
		case <-ctx.Done():
			return fmt.Errorf("%s did not announce %s: %w\n%s", filepath.Base(s.cmd.Path), name, ctx.Err(), s.LogTail())
		}
	}
}

// URL returns the address that the server announced last.
func (s *Server) URL() string { return s.Says("url") }

// Says returns the value that the server announced last under a name, such as "url",
// "sessions", "database" or "metrics". An announced line is a name, spaces and a value.
// Says returns "" if there is no complete line with this name.
func (s *Server) Says(name string) string {
	said := ""
	for line := range strings.Lines(s.Announcement()) {
		found, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if found == name && strings.HasSuffix(line, "\n") {
			said = strings.TrimSpace(value)
		}
	}
	return said
}

// Announcement returns everything that the process has written to standard output so
// far.
func (s *Server) Announcement() string { return s.out.String() }

// Log returns everything that the process has logged so far.
func (s *Server) Log() string {
	if s.logFile == "" {
		return s.log.String()
	}
	text, err := os.ReadFile(s.logFile)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// LogTail returns the end of the log, for an error.
func (s *Server) LogTail() string {
	log := s.Log()
	return log[max(0, len(log)-tailBytes):]
}

// PID returns the ID of the process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Done returns a channel that is closed when the process has exited.
func (s *Server) Done() <-chan struct{} { return s.done }

// ExitCode waits until the process exits and returns its exit code, or -1 if a signal
// terminated it.
func (s *Server) ExitCode() int {
	<-s.done
	return s.cmd.ProcessState.ExitCode()
}

// Signal sends a signal and returns immediately. It is not an error if the process has
// already exited.
func (s *Server) Signal(which os.Signal) error {
	if err := s.cmd.Process.Signal(which); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s: %w", which, err)
	}
	return nil
}

// Stop shuts down the server gracefully and waits until it exits. It sends SIGTERM or,
// where there are no signals, closes the server's input. It returns an [*EndedError] if
// the server exits with an error, and another error if Stop had to kill it.
func (s *Server) Stop() error {
	var err error
	if runtime.GOOS == "windows" {
		err = s.stdin.Close()
	} else {
		err = s.Signal(syscall.SIGTERM)
	}
	if err != nil {
		s.Kill()
		return fmt.Errorf("stop the server: %w", err)
	}
	select {
	case <-s.done:
	case <-time.After(stopLimit):
		s.Kill()
		return fmt.Errorf("the server was still running %s after it was asked to stop\n%s", stopLimit, s.LogTail())
	}
	if s.ended != nil {
		return s.endedError()
	}
	return nil
}

// Kill kills the server immediately (SIGKILL) and waits until it exits.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // fails only if the process has exited
	<-s.done
}

func (s *Server) endedError() *EndedError {
	return &EndedError{Cause: cmp.Or(s.ended, errors.New("exit status 0")), Log: s.LogTail()}
}

// EndedError reports that a server exited unexpectedly or with an error.
type EndedError struct {
	Cause error
	Log   string // the end of the log
}

func (e *EndedError) Error() string {
	return fmt.Sprintf("the server stopped (%s)\n%s", e.Cause, e.Log)
}

func (e *EndedError) Unwrap() error { return e.Cause }

// LastLine returns the last line that the server logged, without the program's name, or
// how the server exited if it logged nothing.
func (e *EndedError) LastLine() string {
	log := strings.TrimSpace(e.Log)
	last := log[strings.LastIndex(log, "\n")+1:]
	return cmp.Or(strings.TrimPrefix(last, product.Slug+": "), e.Cause.Error())
}

// Inherited returns what a server needs from this process's environment besides
// settings: where temporary files go, and what libraries read to connect to a real
// service.
func Inherited() []string {
	var env []string
	for _, name := range []string{
		"TMPDIR", "TMP", "TEMP", "HOME", "USERPROFILE", "APPDATA", "SystemRoot", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"PGPASSFILE", "PGPASSWORD", "PGSERVICEFILE", "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY",
	} {
		if value, set := os.LookupEnv(name); set {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// output collects what a process writes, for concurrent reads.
type output struct {
	mu    sync.Mutex
	said  strings.Builder
	wrote chan struct{} // if not nil, holds a value after a write
}

// Write implements [io.Writer].
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.said.Write(p)
	select {
	case o.wrote <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.said.String()
}
