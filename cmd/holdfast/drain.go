package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of the HTTP server (ASVS 5.0 15.2.2). A page takes milliseconds; the
// slowest honest request is a log-in that waits for its turn to be hashed.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 20 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 32 << 10
	// idleGrace is how long a draining server waits for a connection that is
	// open and silent: a request may be on its way.
	idleGrace = 500 * time.Millisecond
	drainPoll = 5 * time.Millisecond
)

// server is an [http.Server] that can be drained. Shutdown alone drops a first
// request that has just been read on a fresh connection (golang/go#75591), so
// draining lets connections end by themselves first.
type server struct {
	http     *http.Server
	draining atomic.Bool

	mu     sync.Mutex
	states map[net.Conn]http.ConnState
	moved  time.Time // when a connection last changed its state
}

func newServer(handler http.Handler, log *slog.Logger) *server {
	s := &server{states: map[net.Conn]http.ConnState{}}
	s.http = &http.Server{
		Handler:           s.closing(handler),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnState:         s.trackConn,
	}
	return s
}

// closing asks clients to leave once the server drains.
func (s *server) closing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// trackConn is the server's ConnState hook: it keeps the state of every open
// connection, and when one last changed.
func (s *server) trackConn(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = time.Now()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(s.states, conn)
		return
	}
	s.states[conn] = state
}

// settled reports whether no request is being answered and none is likely to
// arrive on the connections that are left.
func (s *server) settled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.states) == 0 {
		return true
	}
	for _, state := range s.states {
		if state != http.StateIdle && state != http.StateNew {
			return false
		}
	}
	return time.Since(s.moved) > idleGrace
}

// serve answers requests from listener until ctx ends, and then drains: it
// takes no new connections, finishes what is in flight, and returns within
// timeout. An error says that something was cut off, or why it never served.
func (s *server) serve(ctx context.Context, listener net.Listener, timeout time.Duration) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	deadline, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	s.draining.Store(true)
	if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("stop listening: %w", err)
	}
	// Serve lets go of the listener when it returns; before that, Shutdown would
	// close it a second time and call that an error.
	<-failed
	s.settle(deadline)
	if err := s.http.Shutdown(deadline); err != nil {
		return errors.Join(fmt.Errorf("requests still in flight after %s: %w", timeout, err), s.http.Close())
	}
	return nil
}

func (s *server) settle(deadline context.Context) {
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()
	for !s.settled() {
		select {
		case <-deadline.Done():
			return
		case <-poll.C:
		}
	}
}
