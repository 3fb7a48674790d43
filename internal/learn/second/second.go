// Package second runs a second server on the same stores, so that people can see
// which stores two servers share. It owns starting, stopping and querying that
// server. It must not know how a server works: it relies on what a server announces
// and on the page /profile.
package second

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"holdfast/internal/launch"
	"holdfast/internal/visitor"
)

// Limits. A start has to finish within the time that a response may take, because
// the page that starts it waits.
const (
	startLimit = 15 * time.Second
	askLimit   = 5 * time.Second
	maxPorts   = 5
)

// Options say what to start.
type Options struct {
	Executable string
	// Settings are those of this server, as NAME=value. Some are replaced: the
	// addresses of the second server and its metrics, and LEARN, because its
	// learning pages could start a third.
	Settings []string
	Host     string   // where this server listens
	Base     *url.URL // where people reach it; its port is not used
	Cookie   string   // the session cookie's name; "" for the default
	Redis    string   // REDIS_URL of the Redis in this server, if that keeps the sessions
	Life     time.Duration
}

// Server is the second server, running or not. It is safe for concurrent use.
type Server struct {
	options Options

	mu       sync.Mutex
	closed   bool // no more servers are started
	starting bool
	state    State
	running  *launch.Server // nil: none
}

// State is the state of the second server.
type State struct {
	Running bool
	Process int // its process ID
	Port    int
	Ends    time.Time // when it stops by itself
	// Refusal is the error with which the last one did not start; "" if it did, or
	// if none was started.
	Refusal string
}

// The named errors of this package.
var (
	ErrRunning = errors.New("a second server is already running or starting")
	ErrClosed  = errors.New("this server is shutting down")
	ErrNone    = errors.New("no second server is running")
)

// New returns a Server that has not been started.
func New(o Options) *Server { return &Server{options: o} }

// State returns the state of the second server.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Start starts the second server. If that server refuses to start, that is a result
// and not an error, see [State]. Errors: ErrRunning, ErrClosed.
func (s *Server) Start(ctx context.Context) error {
	if err := s.begin(); err != nil {
		return err
	}
	started, port, err := s.launch(ctx)
	for try := 1; try < maxPorts && err != nil && s.taken(ctx, port); try++ {
		started, port, err = s.launch(ctx)
	}
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
	// Of two entries with the same name, os/exec uses the last.
	env := append(s.options.Settings[:len(s.options.Settings):len(s.options.Settings)],
		"HOST="+s.options.Host, "PORT="+strconv.Itoa(port), "BASE_URL="+base.String(), "METRICS_ADDR=127.0.0.1:0", "LEARN=off")
	if s.options.Redis != "" {
		env = append(env, "REDIS_URL="+s.options.Redis)
	}
	started, err := launch.Start(ctx, launch.Command{
		Program: s.options.Executable, Args: []string{"serve", "--stop-with-stdin", "--uncounted"}, Env: env, Until: "database", StartLimit: startLimit,
	})
	return started, port, err
}

// taken reports whether a port that was free before a server was started on it is not
// free after it has failed: some connection of this machine has got it in between.
func (s *Server) taken(ctx context.Context, port int) bool {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(s.options.Host, strconv.Itoa(port)))
	if err == nil {
		err = listener.Close()
	}
	return err != nil && ctx.Err() == nil
}

// freePort returns a port that nothing listens on.
func freePort(ctx context.Context, host string) (int, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

// watch stops the server when its time is up, and records that it stopped.
func (s *Server) watch(started *launch.Server) {
	select {
	case <-started.Done():
	case <-time.After(s.options.Life):
		_ = started.Stop() // it has stopped either way
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

// Stop stops the second server, if there is one, and waits until it has stopped.
func (s *Server) Stop() {
	s.mu.Lock()
	started := s.running
	s.mu.Unlock()
	if started != nil {
		_ = started.Stop() // it has stopped either way
		s.ended(started)
	}
}

// Close stops the second server. No server can be started after that.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Stop()
}

// Ask requests the profile page of the second server with the session cookie of a
// browser ("" for none), and returns the heading of that page; "" if that server does
// not recognise the sender and asks for a login. Errors: ErrNone.
func (s *Server) Ask(ctx context.Context, token string) (greeting string, err error) {
	state := s.State()
	if !state.Running {
		return "", ErrNone
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	browser := visitor.New("http://" + net.JoinHostPort(reachable(s.options.Host), strconv.Itoa(state.Port)))
	defer browser.Close()
	// Notices are for the page that the person sees.
	browser.Header = http.Header{"Sec-Purpose": {"prefetch"}}
	browser.Named = cmp.Or(s.options.Cookie, browser.Named)
	if token != "" {
		browser.Take(token)
	}
	greeting, err = browser.Greeting(ctx)
	if err != nil {
		return "", fmt.Errorf("query second server: %w", err)
	}
	return greeting, nil
}

// reachable returns a name of this machine at which host listens.
func reachable(host string) string {
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return "localhost"
	}
	return host
}
