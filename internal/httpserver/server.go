// Package httpserver serves HTTP on one socket. It owns the limits of a request, a
// drain that drops no request, closing connections whose next request would be
// ambiguous, and passing the socket to the process that replaces this one. It must not
// know what it serves.
package httpserver

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
)

// Limits of the HTTP server (ASVS 5.0 15.2.2). A page takes milliseconds; the slowest
// legitimate request is a login that waits to be hashed.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 20 * time.Second
	maxHeaderBytes    = 32 << 10
	// idleGrace is how long a draining server waits for a connection that is
	// open and silent: a request may be on its way.
	idleGrace = 500 * time.Millisecond
	// newGrace is the same for a new connection: most clients that open one send a
	// request.
	newGrace = 2 * time.Second
	// bodyGrace is how long a body may continue to arrive while a successor waits.
	bodyGrace = 500 * time.Millisecond
	drainPoll = 5 * time.Millisecond
)

// Limited returns an [http.Server] for handler with the limits of this package. It
// logs failed connections to log at debug level.
func Limited(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Server is an [http.Server] that can be drained. Shutdown alone drops a first
// request that has just been read on a new connection (golang/go#75591), so a drain
// lets clients close their connections first.
type Server struct {
	http     *http.Server
	always   []byte // header lines of the responses that net/http writes itself
	log      *slog.Logger
	draining atomic.Bool
	handover atomic.Bool // it drains, and a successor waits for it to finish

	mu     sync.Mutex
	states map[*conn]http.ConnState
	moved  time.Time // when a connection last changed its state
}

// New returns a server for handler, on which an idle connection stays open for idle.
// Responses that net/http writes without calling
// handler, because it cannot read the request, get the header fields in always.
func New(handler http.Handler, always http.Header, idle time.Duration, log *slog.Logger) *Server {
	var lines bytes.Buffer
	_ = always.Write(&lines) // a buffer accepts every write
	lines.WriteString("Cache-Control: no-store\r\n")
	s := &Server{always: lines.Bytes(), log: log, states: map[*conn]http.ConnState{}}
	s.http = Limited(s.track(handler), log)
	s.http.IdleTimeout = idle
	s.http.ConnContext = withConn
	s.http.ConnState = s.setState
	s.http.DisableGeneralOptionsHandler = true // OPTIONS * goes to handler like everything else
	return s
}

// track makes clients close their connections when the server drains, and records
// the progress of the request on each connection.
func (s *Server) track(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() || endUncertain(r) {
			w.Header().Set("Connection", "close")
		}
		c := connOf(r)
		c.handled.Store(true)
		if r.Body != http.NoBody {
			c.receiving.Store(true)
			r.Body = &body{r.Body, c}
		}
		next.ServeHTTP(w, r)
	})
}

// endUncertain reports whether a proxy in front may see a different end of r than
// net/http does, so that the connection has to close after it (RFC 9112 section
// 6.1). net/http follows Transfer-Encoding and drops a Content-Length sent with it;
// in HTTP/1.0 it drops Transfer-Encoding, which no handler can see.
func endUncertain(r *http.Request) bool {
	return len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1)
}

// body is the body of a request.
type body struct {
	io.ReadCloser
	conn *conn
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.conn.receiving.Store(false)
	} else if err != nil && b.conn.server.handover.Load() {
		err = fmt.Errorf("%w: %w", ErrRestarting, err)
	}
	return n, err
}

// setState is the server's ConnState hook: it records the state of every open
// connection, and when a state last changed.
func (s *Server) setState(accepted net.Conn, state http.ConnState) {
	c := accepted.(*conn)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = time.Now()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(s.states, c)
		return
	}
	if state == http.StateIdle {
		c.handled.Store(false)
		c.receiving.Store(false)
	}
	s.states[c] = state
}

// Serve handles requests on l until ctx ends, and then drains: it accepts no new
// connections, finishes the requests in flight, and returns within timeout. An error
// means that requests were cut off, or that none could be served.
//
// If a successor will inherit the socket, clients that connect during the drain wait
// for it. So the server first waits for slowly arriving bodies while it still serves
// other requests. A body that is incomplete after that, or begins later, soon fails
// with [ErrRestarting]: no part of its request was carried out.
func (s *Server) Serve(ctx context.Context, l *Listener, timeout time.Duration) error {
	failed := make(chan error, 1)
	go func() {
		failed <- s.http.Serve(&connListener{TCPListener: l.TCPListener, server: s})
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	if l.successor.Load() != nil {
		bodies, cancel := context.WithTimeout(context.Background(), readTimeout)
		defer cancel()
		poll(bodies, drainPoll, func() bool { return len(s.receiving()) == 0 })
		s.handover.Store(true)
	}
	deadline, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	s.draining.Store(true)
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("stop listening: %w", err)
	}
	// Serve forgets the listener when it returns; before that, Shutdown would close
	// it a second time and call that an error.
	<-failed
	s.settle(deadline)
	s.closeSilent()
	if err := s.http.Shutdown(deadline); err != nil {
		return errors.Join(fmt.Errorf("requests still in flight after %s: %w", timeout, err), s.http.Close())
	}
	return nil
}

// settle waits until no request is in flight and none is likely to arrive.
func (s *Server) settle(deadline context.Context) {
	began := time.Now()
	poll(deadline, drainPoll, func() bool {
		if s.handover.Load() && time.Since(began) > bodyGrace {
			for _, c := range s.receiving() {
				_ = c.SetReadDeadline(began) // fails only on a connection that is gone
			}
		}
		return s.settled()
	})
}

func (s *Server) settled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, state := range s.states {
		silent := state == http.StateIdle || state == http.StateNew && time.Since(c.accepted) >= newGrace
		if !silent {
			return false
		}
	}
	return len(s.states) == 0 || time.Since(s.moved) > idleGrace
}

// receiving returns the connections on which a request is arriving.
func (s *Server) receiving() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*conn
	for c := range s.states {
		if c.receiving.Load() {
			all = append(all, c)
		}
	}
	return all
}

// closeSilent closes connections that never sent anything, which browsers open in
// advance: Shutdown waits up to 5 seconds for those.
func (s *Server) closeSilent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, state := range s.states {
		if state == http.StateNew {
			_ = c.Close() // nothing is lost if it fails
		}
	}
}

// poll calls done at this interval until it returns true or ctx ends.
func poll(ctx context.Context, interval time.Duration, done func() bool) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
