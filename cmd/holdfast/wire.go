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

// conn is one connection. It knows of its requests what net/http does not tell
// a handler.
type conn struct {
	*net.TCPConn
	always    []byte
	accepted  time.Time
	handled   atomic.Bool // the answer under way is a handler's
	receiving atomic.Bool // the request under way has not arrived whole
	framing   framing
}

// Read implements [net.Conn].
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.framing.see(p[:n])
	return n, err
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

// framing looks for a header with both Content-Length and Transfer-Encoding.
// RFC 9112 section 6.1 lets a server refuse such a request, and demands that
// the connection be closed: behind a proxy that believes the other of the two,
// the end of the request is the beginning of somebody else's. net/http follows
// Transfer-Encoding, removes Content-Length and goes on.
//
// It reads bodies as if they were headers, too. A body can make it find what is
// not there, which costs its sender the connection; it cannot hide a header,
// because nothing but the blank line at its end ends one.
type framing struct {
	line             []byte // the beginning of the line under way
	length, encoding bool   // what the header under way has
	both             atomic.Bool
}

// maxName is longer than either name with its colon.
const maxName = 24

func (f *framing) see(p []byte) {
	for len(p) > 0 {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		f.line = append(f.line, line[:min(len(line), maxName-len(f.line))]...)
		if !ended {
			return
		}
		f.end()
		p = rest
	}
}

// end looks at a line that is whole.
func (f *framing) end() {
	name, _, named := bytes.Cut(f.line, []byte(":"))
	switch {
	case named && bytes.EqualFold(name, []byte("Content-Length")):
		f.length = true
	case named && bytes.EqualFold(name, []byte("Transfer-Encoding")):
		f.encoding = true
	case len(bytes.TrimSuffix(f.line, []byte("\r"))) == 0:
		if f.length && f.encoding {
			f.both.Store(true)
		}
		f.length, f.encoding = false, false
	}
	f.line = f.line[:0]
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
