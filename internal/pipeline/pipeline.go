// Package pipeline sends the commands of many goroutines to Redis through one
// connection. Commands asked for while others are being written leave in the
// same write; replies are handed out in the order of the commands, as the Redis
// protocol defines it. It owns that connection: opening it, the limits on
// waiting, and the second try when it breaks. It knows no keys and no sessions.
//
// Every command must be harmless when it is repeated: one whose reply was lost
// with its connection is sent once more on the next one, and Redis may have
// carried it out already. No command is sent three times.
//
// No reply reaches another's request:
//   - A command enters the connection's queue immediately before it is written.
//     One goroutine does both, so the order of the queue is the order on the wire.
//   - One goroutine receives. Each reply takes exactly the first request off the
//     queue. A request whose caller left stays in the queue, and its reply is
//     dropped.
//   - A connection on which anything else happens (a failed write, an unreadable
//     reply, a reply while the queue is empty, a command unanswered for
//     [Options.Timeout]) is removed from use under the same lock that guards the
//     queue; its queue is emptied, and nothing received on it is handed out again.
//   - Commands that change what later replies on a connection mean are refused.
//
// An unsolicited reply while commands are in flight looks like the reply to the
// first of them. Only its content can show that: a caller that stores values
// should be able to tell which key a value belongs to, and call [Client.Reset]
// when it is another than the one requested.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"
)

// ErrTimeout says that a command had no reply within its budget, which includes
// the time to open a connection and the second try. It is an
// [os.ErrDeadlineExceeded], and a [context.DeadlineExceeded] too when the
// context's deadline was the earlier one. Redis may have carried the command out.
var ErrTimeout = fmt.Errorf("no reply from Redis in time: %w", os.ErrDeadlineExceeded)

// ErrOutcomeUnknown is in the error of a command that was sent and whose reply was
// lost: Redis may have carried it out. Without it, Redis has not: the command was
// never sent, or refused by an error reply.
var ErrOutcomeUnknown = errors.New("Redis may have carried the command out")

// ErrClosed is the answer to every command after [Client.Close].
var ErrClosed = errors.New("the connection to Redis was closed by this program")

// Options say how a [Client] reaches Redis. Dial and Timeout are required.
type Options struct {
	// Dial opens a connection, and returns when ctx ends: after ConnectTimeout or
	// at Close. A read timeout of the connection applies until Check has
	// returned; afterwards an idle connection waits for replies without limit.
	Dial func(ctx context.Context) (redis.Conn, error)
	// Check examines a new connection before any command is sent on it, and may
	// use it freely while it runs. Only Close interrupts it, by ending ctx and
	// closing conn. nil: no check.
	Check func(ctx context.Context, conn redis.Conn) error
	// ConnectTimeout limits Dial. 0: no limit.
	ConnectTimeout time.Duration
	// Timeout limits one command: waiting for a connection, sending, receiving,
	// and the second try. A connection on which a command is unanswered for that
	// long is closed.
	Timeout time.Duration
	// Observe is told the outcome of each command once: its name and the error
	// its caller gets, nil for success. nil: not told.
	Observe func(cmd string, err error)
}

// Client is one connection to Redis for all goroutines, opened again whenever it
// breaks.
type Client struct {
	o        Options
	pool     *redis.Pool
	requests sync.Pool // of *request; see request.done for when one may be reused
	open     context.Context
	shut     context.CancelFunc
	running  sync.WaitGroup

	mu         sync.Mutex // guards all below, link.sent, and what request says
	pending    []*request // waiting to be sent, in the order to do so
	current    *link      // where commands are sent; nil when none is open
	live       map[*link]struct{}
	connecting bool // a goroutine runs connect
	closed     bool
}

// New returns a client that opens its connection at the first command.
func New(o Options) *Client {
	c := &Client{o: o, live: map[*link]struct{}{}}
	c.open, c.shut = context.WithCancel(context.Background())
	c.pool = &redis.Pool{
		Dial:    func() (redis.Conn, error) { return handle{c}, nil },
		MaxIdle: maxIdleHandles,
	}
	return c
}

// Do is [Client.DoContext] without a context.
func (c *Client) Do(cmd string, args ...any) (any, error) {
	return c.DoContext(context.Background(), cmd, args...)
}

// DoContext sends one command and returns its reply as redigo gives it; args are
// not read after it has returned. An error reply is a [redis.Error]. Otherwise
// the error is, or wraps, [ErrTimeout], [ErrClosed], ctx's error, what Dial or
// Check returned, what cut the connection twice, or [errors.ErrUnsupported] for a
// command that a shared connection cannot carry; and [ErrOutcomeUnknown] where
// that applies.
//
// When ctx ends first, the connection stays in use and the reply is dropped when
// it comes.
func (c *Client) DoContext(ctx context.Context, cmd string, args ...any) (any, error) {
	reply, err := c.do(ctx, cmd, args)
	if c.o.Observe != nil {
		c.o.Observe(cmd, err)
	}
	return reply, err
}

func (c *Client) do(ctx context.Context, cmd string, args []any) (any, error) {
	if needsOwnConnection(cmd) {
		return nil, fmt.Errorf("%s on a shared connection: %w", cmd, errors.ErrUnsupported)
	}
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	r := c.request(cmd, args)
	if err := c.enqueue(r); err != nil {
		return nil, err
	}
	select {
	case res := <-r.done:
		res.err = r.named(res.err)
		c.release(r)
		return res.reply, res.err
	case <-r.limit.C:
		return c.leave(r, ErrTimeout)
	case <-ctx.Done():
		return c.leave(r, ended(ctx))
	}
}

func ended(ctx context.Context) error {
	err := ctx.Err()
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return err
}

func (c *Client) enqueue(r *request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	c.pending = append(c.pending, r)
	c.connectIfNeeded()
	if c.current != nil {
		c.current.wake.Signal()
	}
	return nil
}

// leave ends the wait of r's caller with err, unless the outcome is there after
// all. A command in flight stays in its queue, and cuts its connection when it
// is not answered there for Timeout. Counting from when it was sent there, and
// not from when it was asked, spares a new connection that had no time to answer
// those for whom it is the second try.
func (c *Client) leave(r *request, err error) (any, error) {
	r.limit.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.place {
	case decided:
		res := <-r.done // its sender needs no lock
		return res.reply, r.named(res.err)
	case pending:
		i := slices.Index(c.pending, r)
		c.pending = slices.Delete(c.pending, i, i+1)
		return nil, r.named(err)
	}
	r.left = true
	l := r.link
	time.AfterFunc(c.o.Timeout-time.Since(r.sent), func() {
		c.mu.Lock()
		unanswered := r.place == inFlight
		c.mu.Unlock()
		if unanswered {
			c.cut(l, errUnanswered)
		}
	})
	return nil, r.named(err)
}

// Pool returns a pool whose connections pass Do on to the client; it lives as
// long as the client and opens nothing. Commands sent with Send are refused with
// an error that is [errors.ErrUnsupported].
func (c *Client) Pool() *redis.Pool { return c.pool }

// Reset closes the connection because of cause. Commands without a reply are
// sent once more on a new one, which is checked first. A connection that is
// being opened is not affected.
func (c *Client) Reset(cause error) {
	c.mu.Lock()
	links := slices.Collect(maps.Keys(c.live))
	c.mu.Unlock()
	for _, l := range links {
		c.cut(l, cause)
	}
}

// Close ends the connection and waits until nothing of the client runs any
// more. Waiting commands return [ErrClosed].
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	lost := c.takePending()
	c.mu.Unlock()
	fail(lost, ErrClosed)
	c.shut()
	c.Reset(ErrClosed)
	c.running.Wait()
	return nil
}

// takePending empties the queue of pending requests, for fail. The caller holds
// c.mu.
func (c *Client) takePending() []*request {
	all := c.pending
	c.pending = nil
	for _, r := range all {
		r.place = decided
	}
	return all
}

// fail gives decided requests their outcome.
func fail(lost []*request, err error) {
	for _, r := range lost {
		r.done <- result{err: err}
	}
}
