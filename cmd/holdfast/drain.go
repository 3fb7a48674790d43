package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/web"
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
	// newGrace is the same for a connection that has just been opened: whoever
	// opens one mostly has something to say.
	newGrace = 2 * time.Second
	// formGrace is how long a form may go on arriving when another server waits.
	formGrace = 500 * time.Millisecond
	drainPoll = 5 * time.Millisecond
)

// server is an [http.Server] that can be drained. Shutdown alone drops a first
// request that has just been read on a fresh connection (golang/go#75591), so
// draining lets connections end by themselves first.
type server struct {
	http     *http.Server
	always   http.Header // sent with every answer
	draining atomic.Bool
	handover atomic.Bool // it drains, and another server waits for its end

	mu     sync.Mutex
	states map[net.Conn]http.ConnState
	moved  time.Time // when a connection last changed its state
}

func newServer(handler http.Handler, always http.Header, log *slog.Logger) *server {
	s := &server{always: always, states: map[net.Conn]http.ConnState{}}
	s.http = &http.Server{
		Handler:           s.closing(handler),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext:       withConn,
		ConnState:         s.trackConn,
		// OPTIONS * is answered as everything else is.
		DisableGeneralOptionsHandler: true,
	}
	return s
}

// closing has clients leave once the server drains, and records on each
// connection how far its request is.
func (s *server) closing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() || endUncertain(r) {
			w.Header().Set("Connection", "close")
		}
		if c := connOf(r); c != nil {
			c.handled.Store(true)
			if r.Body != http.NoBody {
				c.receiving.Store(true)
				r.Body = &arriving{r.Body, c, s}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// endUncertain reports whether a proxy in front may see another end of r than
// net/http does, so that the connection has to close after it (RFC 9112 section
// 6.1). net/http follows Transfer-Encoding and drops a Content-Length beside it;
// in HTTP/1.0 it drops Transfer-Encoding, and no handler learns of it.
func endUncertain(r *http.Request) bool {
	return len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1)
}

// arriving is the body of a request.
type arriving struct {
	io.ReadCloser
	conn   *conn
	server *server
}

// Read implements [io.Reader].
func (a *arriving) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		a.conn.receiving.Store(false)
	} else if err != nil && a.server.handover.Load() {
		err = fmt.Errorf("%w: %w", web.ErrRestarting, err)
	}
	return n, err
}

// trackConn is the server's ConnState hook: it keeps the state of every open
// connection, and when one last changed.
func (s *server) trackConn(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = time.Now()
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(s.states, c)
		return
	case http.StateIdle:
		if c, ok := c.(*conn); ok {
			c.handled.Store(false)
			c.receiving.Store(false)
		}
	default:
	}
	s.states[c] = state
}

// settled reports whether no request is being answered and none is likely to
// arrive on the connections that are left.
func (s *server) settled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.states) == 0 {
		return true
	}
	for c, state := range s.states {
		switch state {
		case http.StateIdle:
		case http.StateNew:
			if c, ok := c.(*conn); ok && time.Since(c.accepted) < newGrace {
				return false
			}
		default:
			return false
		}
	}
	return time.Since(s.moved) > idleGrace
}

// receiving are the connections on which a request is arriving.
func (s *server) receiving() []net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []net.Conn
	for c := range s.states {
		if c, ok := c.(*conn); ok && c.receiving.Load() {
			all = append(all, c)
		}
	}
	return all
}

// serve answers requests from listener until ctx ends, and then drains: it
// takes no new connections, finishes what is in flight, and returns within
// timeout. An error says that something was cut off, or why it never served.
//
// Where followed says that another server is to take the socket over, whoever
// connects meanwhile waits for that one. So forms that are slow to arrive are
// first waited for while the others are still served, and any that is left, or
// begins then, is refused soon: nothing of it has been done.
func (s *server) serve(ctx context.Context, listener net.Listener, timeout time.Duration, followed func() bool) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(wire{listener, s.headerLines()}) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	if followed() {
		s.awaitForms()
		s.handover.Store(true)
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
	s.closeSilent()
	if err := s.http.Shutdown(deadline); err != nil {
		return errors.Join(fmt.Errorf("requests still in flight after %s: %w", timeout, err), s.http.Close())
	}
	return nil
}

// headerLines are the header fields of every answer as they are written.
func (s *server) headerLines() []byte {
	var lines bytes.Buffer
	_ = s.always.Write(&lines) // a buffer takes everything
	lines.WriteString("Cache-Control: no-store\r\n")
	return lines.Bytes()
}

// awaitForms serves on until no form is arriving, at most for as long as one
// may take.
func (s *server) awaitForms() {
	deadline, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	s.poll(deadline, func() bool { return len(s.receiving()) == 0 })
}

func (s *server) settle(deadline context.Context) {
	began := time.Now()
	s.poll(deadline, func() bool {
		if s.handover.Load() && time.Since(began) > formGrace {
			for _, c := range s.receiving() {
				_ = c.SetReadDeadline(began) // fails only on a connection that is gone
			}
		}
		return s.settled()
	})
}

// poll asks until done says so or deadline has ended.
func (s *server) poll(deadline context.Context, done func() bool) {
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()
	for !done() {
		select {
		case <-deadline.Done():
			return
		case <-poll.C:
		}
	}
}

// closeSilent closes connections that have never said anything, as browsers
// open in advance: Shutdown waits for those up to 5 seconds.
func (s *server) closeSilent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, state := range s.states {
		if state == http.StateNew {
			_ = c.Close() // it is to be gone, and nobody waits for it
		}
	}
}
