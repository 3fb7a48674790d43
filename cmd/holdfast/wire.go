package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// wire wraps the connections of a listener.
type wire struct {
	net.Listener
	// always are the header lines of answers that net/http makes by itself: it
	// asks no handler about a request that it cannot read.
	always []byte
}

// Accept implements [net.Listener].
func (w wire) Accept() (net.Conn, error) {
	accepted, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := accepted.(*net.TCPConn)
	if !ok {
		return accepted, nil
	}
	return &conn{TCPConn: tcp, always: w.always, accepted: time.Now()}, nil
}

// conn is one connection. handled and receiving describe its present request:
// trackConn clears them when net/http has finished it.
type conn struct {
	*net.TCPConn
	always    []byte
	accepted  time.Time
	handled   atomic.Bool // the answer under way is a handler's
	receiving atomic.Bool // the request under way has not arrived whole
}

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (int, error) {
	line, rest, found := bytes.Cut(p, []byte("\r\n"))
	if c.handled.Load() || !found || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return c.TCPConn.Write(p)
	}
	if _, err := c.TCPConn.Write(slices.Concat(line, []byte("\r\n"), c.always, rest)); err != nil {
		return 0, err
	}
	return len(p), nil
}

type connKey struct{}

// withConn is [http.Server.ConnContext].
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}
