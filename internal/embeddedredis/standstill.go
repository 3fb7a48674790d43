package embeddedredis

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// MaxStandStill is the longest time a server is made to stand still.
const MaxStandStill = 5 * time.Second

// gate stands before the server. It is open but for a few seconds when somebody
// wants to see what happens without Redis.
type gate struct {
	opening atomic.Pointer[chan struct{}] // nil: open
	gone    chan struct{}                 // closed when the server is
}

func (g *gate) shut(d time.Duration) <-chan struct{} {
	opening := make(chan struct{})
	for !g.opening.CompareAndSwap(nil, &opening) {
		if already := g.opening.Load(); already != nil {
			return *already
		}
	}
	time.AfterFunc(d, func() {
		g.opening.Store(nil)
		close(opening)
	})
	return opening
}

// gated is a connection whose writes wait while the gate is shut.
type gated struct {
	net.Conn
	gate     *gate
	deadline atomic.Pointer[time.Time] // of writes; nil: none
	closed   chan struct{}
	close    func() error
}

func newGated(conn net.Conn, g *gate) *gated {
	c := &gated{Conn: conn, gate: g, closed: make(chan struct{})}
	c.close = sync.OnceValue(func() error {
		close(c.closed)
		return conn.Close()
	})
	return c
}

// Write implements [net.Conn]. It waits as a write does to a server that reads
// nothing: until the deadline set before it began, Close, or the server's end.
func (c *gated) Write(p []byte) (int, error) {
	if opening := c.gate.opening.Load(); opening != nil {
		if err := c.wait(*opening); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}

func (c *gated) wait(opening <-chan struct{}) error {
	var late <-chan time.Time
	if deadline := c.deadline.Load(); deadline != nil && !deadline.IsZero() {
		timer := time.NewTimer(time.Until(*deadline))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-opening:
		return nil
	case <-late:
		return os.ErrDeadlineExceeded
	case <-c.closed:
		return net.ErrClosed
	case <-c.gate.gone:
		return net.ErrClosed
	}
}

// SetDeadline implements [net.Conn].
func (c *gated) SetDeadline(t time.Time) error {
	c.deadline.Store(&t)
	return c.Conn.SetDeadline(t)
}

// SetWriteDeadline implements [net.Conn].
func (c *gated) SetWriteDeadline(t time.Time) error {
	c.deadline.Store(&t)
	return c.Conn.SetWriteDeadline(t)
}

// Close implements [net.Conn].
func (c *gated) Close() error { return c.close() }
