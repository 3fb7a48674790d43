package httpserver

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// connListener accepts connections as a [conn]. It logs once when accepting fails, and
// once when it works again: net/http retries forever, for example while the process has
// too many open files.
type connListener struct {
	*net.TCPListener
	server  *Server
	failing bool
}

// Accept implements [net.Listener].
func (l *connListener) Accept() (net.Conn, error) {
	tcp, err := l.AcceptTCP()
	switch {
	case err == nil && l.failing:
		l.failing = false
		l.server.log.Info("connections accepted again")
	case err != nil && !l.failing && !errors.Is(err, net.ErrClosed):
		l.failing = true
		l.server.log.Error("connections not accepted", "cause", err)
	}
	if err != nil {
		return nil, err
	}
	return &conn{TCPConn: tcp, server: l.server, accepted: time.Now()}, nil
}

// conn is one connection. handled and receiving describe its current request:
// setState clears them when net/http has finished it.
type conn struct {
	*net.TCPConn
	server    *Server
	accepted  time.Time
	handled   atomic.Bool // a handler writes the response
	receiving atomic.Bool // the request has not arrived completely
}

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (int, error) {
	line, rest, found := bytes.Cut(p, []byte("\r\n"))
	if c.handled.Load() || !found || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return c.TCPConn.Write(p)
	}
	if _, err := c.TCPConn.Write(slices.Concat(line, []byte("\r\n"), c.server.always, rest)); err != nil {
		return 0, err
	}
	return len(p), nil
}

type connKey struct{}

// withConn is [http.Server.ConnContext].
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func connOf(r *http.Request) *conn { return r.Context().Value(connKey{}).(*conn) }
