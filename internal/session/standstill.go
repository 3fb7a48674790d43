package session

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
)

// MaxStandstill is the longest time the embedded Redis is made to stand still.
const MaxStandstill = 5 * time.Second

// The named failures of what the lab does with the store.
var (
	// ErrNoRedis: sessions are kept in something else than Redis.
	ErrNoRedis = errors.New("sessions are not kept in Redis")
	// ErrNotEmbedded: the store is not this process's own, and nothing that
	// this process may stop.
	ErrNotEmbedded = errors.New("the store belongs to others too")
)

// Embedded reports whether sessions are kept in the embedded Redis.
func (m *Manager) Embedded() bool {
	r := redisBehind(m.guard.cells)
	return r != nil && r.gate != nil
}

// OnRedis reports whether sessions are kept in Redis, embedded or not.
func (m *Manager) OnRedis() bool { return redisBehind(m.guard.cells) != nil }

// StandStill has the embedded Redis answer nobody for d, at most MaxStandstill:
// it takes connections and no commands, as a stopped process does. The channel
// that it returns is closed when that is over. Errors: ErrNotEmbedded.
func (m *Manager) StandStill(d time.Duration) (over <-chan struct{}, err error) {
	if !m.Embedded() {
		return nil, ErrNotEmbedded
	}
	return redisBehind(m.guard.cells).gate.shut(min(d, MaxStandstill)), nil
}

// DialRedis opens a connection of the caller's own to the Redis that sessions
// are kept in, with no time limits but the caller's. Errors: ErrNoRedis.
func (m *Manager) DialRedis(ctx context.Context, options ...redis.DialOption) (redis.Conn, error) {
	r := redisBehind(m.guard.cells)
	if r == nil {
		return nil, ErrNoRedis
	}
	return r.dialPlain(ctx, options...)
}

func redisBehind(c cells) *redisCells {
	switch c := c.(type) {
	case *redisCells:
		return c
	case *lockedCells:
		if embedded, ok := c.store.(embeddedStore); ok {
			return embedded.redisCells
		}
	}
	return nil
}

// gate stands before the embedded Redis. It is open but for a few seconds when
// somebody wants to see what happens without Redis.
type gate struct {
	opening atomic.Pointer[chan struct{}] // nil: open
}

func (g *gate) shut(d time.Duration) <-chan struct{} {
	opening := make(chan struct{})
	if !g.opening.CompareAndSwap(nil, &opening) {
		if already := g.opening.Load(); already != nil {
			return *already
		}
		close(opening)
		return opening
	}
	time.AfterFunc(d, func() {
		g.opening.Store(nil)
		close(opening)
	})
	return opening
}

// pass waits until the gate is open, or as a write to a server that reads
// nothing does until the deadline; zero: for ever.
func (g *gate) pass(deadline time.Time) error {
	opening := g.opening.Load()
	if opening == nil {
		return nil
	}
	var late <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-*opening:
		return nil
	case <-late:
		return os.ErrDeadlineExceeded
	}
}

// dial opens a connection whose writes go through the gate.
func (g *gate) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &gated{Conn: conn, gate: g}, nil
}

// gated is one such connection. It belongs to one goroutine, as redigo's do.
type gated struct {
	net.Conn
	gate     *gate
	deadline time.Time // of writes
}

// SetWriteDeadline implements [net.Conn].
func (c *gated) SetWriteDeadline(t time.Time) error {
	c.deadline = t
	return c.Conn.SetWriteDeadline(t)
}

// Write implements [net.Conn].
func (c *gated) Write(p []byte) (int, error) {
	if err := c.gate.pass(c.deadline); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
