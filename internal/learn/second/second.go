// Package second runs a second server beside this one, on the same stores, so
// that people can see which stores two servers share. It owns the start of that
// server, its end, and the one question put to it. It must not know how a
// server works: it relies on what a server announces and on the page /profile.
package second

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	"holdfast/internal/launch"
	"holdfast/internal/visitor"
)

// Limits. A start has to end within the time that an answer may take: the page
// that asks for it waits.
const (
	startLimit = 15 * time.Second
	askLimit   = 5 * time.Second
)

// Options say what is started.
type Options struct {
	Executable string
	// Settings are those of this server, as NAME=value. Some are replaced: where
	// the second server listens and is reached, where its metrics are, and no
	// pages for learning, which would start a third.
	Settings []string
	Host     string   // where this server listens
	Base     *url.URL // where people reach it; its port is not used
	Life     time.Duration
}

// Server is the second server, running or not. It is safe for concurrent use.
type Server struct {
	options Options

	mu       sync.Mutex
	closed   bool // no server is started any more
	starting bool
	state    State
	running  *launch.Server // nil: none
}

// State is what is known of the second server.
type State struct {
	Running bool
	Process int // of the operating system
	Port    int
	Ends    time.Time // by itself
	// Refusal is why the latest one did not start, in its own words; "" when it
	// did, or none was asked for.
	Refusal string
}

// The named failures of this package.
var (
	ErrRunning = errors.New("a second server is already running or starting")
	ErrClosed  = errors.New("this server is shutting down")
	ErrNone    = errors.New("no second server is running")
)

// New returns a Server that has not been started.
func New(o Options) *Server { return &Server{options: o} }

// State returns what is known of the second server now.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Start starts the second server. One that refuses to start is no error but a
// finding, see [State]. Errors: ErrRunning, ErrClosed.
func (s *Server) Start(ctx context.Context) error {
	if err := s.begin(); err != nil {
		return err
	}
	started, port, err := s.launch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starting = false
	if ended, refused := errors.AsType[*launch.EndedError](err); refused {
		s.state = State{Refusal: ended.LastLine()}
		return nil
	}
	if err != nil {
		return err
	}
	if s.closed {
		started.Kill()
		return ErrClosed
	}
	s.running = started
	s.state = State{Running: true, Process: started.PID(), Port: port, Ends: time.Now().Add(s.options.Life)}
	go s.watch(started)
	return nil
}

func (s *Server) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.running != nil || s.starting:
		return ErrRunning
	}
	s.starting = true
	return nil
}

func (s *Server) launch(ctx context.Context) (*launch.Server, int, error) {
	port, err := freePort(ctx, s.options.Host)
	if err != nil {
		return nil, 0, err
	}
	base := *s.options.Base
	base.Host = net.JoinHostPort(base.Hostname(), strconv.Itoa(port))
	// Of two entries with one name os/exec passes the later on.
	env := append(s.options.Settings[:len(s.options.Settings):len(s.options.Settings)],
		"HOST="+s.options.Host, "PORT="+strconv.Itoa(port), "BASE_URL="+base.String(), "METRICS_ADDR=127.0.0.1:0", "LEARN=off")
	started, err := launch.Start(ctx, launch.Command{
		Program: s.options.Executable, Args: []string{"serve", "--stop-with-stdin", "--uncounted"}, Env: env, Until: "database", StartLimit: startLimit,
	})
	return started, port, err
}

// freePort asks the system for a port that nothing listens on.
func freePort(ctx context.Context, host string) (int, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

// watch ends the server when its time is up, and records its end.
func (s *Server) watch(started *launch.Server) {
	select {
	case <-started.Done():
	case <-time.After(s.options.Life):
		_ = started.Stop() // it has ended then, well or not
	}
	s.ended(started)
}

func (s *Server) ended(started *launch.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == started {
		s.running, s.state = nil, State{}
	}
}

// Stop ends the second server, if there is one, and waits for its end.
func (s *Server) Stop() {
	s.mu.Lock()
	started := s.running
	s.mu.Unlock()
	if started != nil {
		_ = started.Stop() // it has ended then, well or not
		s.ended(started)
	}
}

// Close is Stop, and no server is started after it.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Stop()
}

// Ask asks the second server for the page that greets, with the session cookie of
// a browser ("" for none), and returns the heading of that page; "" when the server
// does not know the sender and asks for a login. Errors: ErrNone, and what went
// wrong.
func (s *Server) Ask(ctx context.Context, token string) (greeting string, err error) {
	state := s.State()
	if !state.Running {
		return "", ErrNone
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	browser := visitor.New("http://" + net.JoinHostPort(reachable(s.options.Host), strconv.Itoa(state.Port)))
	defer browser.Close()
	if token != "" {
		browser.Take(token)
	}
	greeting, err = browser.Greeting(ctx)
	if err != nil {
		return "", fmt.Errorf("query second server: %w", err)
	}
	return greeting, nil
}

// reachable is a name for this machine at which host listens.
func reachable(host string) string {
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return "localhost"
	}
	return host
}
