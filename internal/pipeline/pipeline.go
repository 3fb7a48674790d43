// Package pipeline sends the commands of many goroutines to Redis through one
// connection. Commands that wait while others are being written go out in one
// write; replies are delivered in command order, as the Redis protocol defines it.
// The package owns that connection: opening it, the time limits, and the second
// attempt when it breaks. It knows no keys and no sessions.
//
// Every command must be idempotent: one whose reply was lost with its connection is
// sent again on the next one, and Redis may have executed it already. No command is
// sent three times.
//
// No reply reaches the wrong request:
//   - A command enters the connection's queue immediately before it is written. One
//     goroutine does both, so the order of the queue is the order on the wire.
//   - One goroutine receives. Each reply removes exactly the first request from the
//     queue. A request whose caller was cancelled stays in the queue, and its reply
//     is dropped.
//   - A connection on which anything else happens (a failed write, an unreadable
//     reply, a reply while the queue is empty, a command unanswered for
//     [Options.Timeout]) is removed from use under the same lock that guards the
//     queue; its queue is emptied, and nothing received on it is delivered.
//   - Commands that change what later replies on a connection mean are refused.
//
// An unsolicited reply while commands are in flight looks like the reply to the
// first of them. Only its content can show that: a caller that stores values should
// be able to check which key a value belongs to, and call [Client.Reset] when it is
// not the requested one.
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

// ErrTimeout means that a command had no reply within its limit, which includes the
// time to open a connection and the second attempt, or that its connection was closed
// because another command had none. It is an [os.ErrDeadlineExceeded], and also a
// [context.DeadlineExceeded] if the context's deadline was the earlier one. Redis may
// have executed the command.
var ErrTimeout = fmt.Errorf("no reply from Redis in time: %w", os.ErrDeadlineExceeded)

// ErrOutcomeUnknown is in the error of a command that was sent and whose reply was
// lost: Redis may have executed it. Without it, Redis has not: the command was
// never sent, or was refused with an error reply.
var ErrOutcomeUnknown = errors.New("the command may have been executed")

// ErrClosed is the error of every command after [Client.Close].
var ErrClosed = errors.New("connection to Redis closed locally")

// Options configures a [Client]. Dial and Timeout are required.
type Options struct {
	// Dial opens a connection. It must return when ctx ends, which is after
	// ConnectTimeout or at Close. A read timeout of the connection applies until
	// Check has returned; afterwards an idle connection waits for replies without
	// limit.
	Dial func(ctx context.Context) (redis.Conn, error)
	// Check examines a new connection before any command is sent on it, and may use
	// it freely while it runs. Only Close interrupts it, by ending ctx and closing
	// conn. Nil means no check.
	Check func(ctx context.Context, conn redis.Conn) error
	// ConnectTimeout limits Dial. 0 means no limit.
	ConnectTimeout time.Duration
	// Timeout limits one command: waiting for a connection, sending, receiving, and
	// the second attempt. A connection on which a command is unanswered for that
	// long is closed.
	Timeout time.Duration
	// Observe is called once with the outcome of each command: its name, when it was
	// called, and the error its caller gets, nil for success. Outcomes of commands that
	// were waiting together come in any order. It may be nil.
	Observe func(cmd string, began time.Time, err error)
}

// Client is one connection to Redis for all goroutines. It is reopened whenever it
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

// DoContext sends one command and returns its reply in redigo's types. It does not
// read args after it has returned. An error reply is a [redis.Error]. Otherwise the
// error is, or wraps, [ErrTimeout], [ErrClosed], ctx's error, what Dial or Check
// returned, what closed the connection twice, or [errors.ErrUnsupported] for a
// command that a shared connection cannot carry; and also [ErrOutcomeUnknown] if
// that applies. An empty command, with which a pool asks for replies not yet received,
// does nothing.
//
// If ctx ends first, the connection stays in use and the reply is dropped when it
// arrives.
func (c *Client) DoContext(ctx context.Context, cmd string, args ...any) (reply any, err error) {
	if cmd == "" {
		return nil, nil
	}
	if c.o.Observe != nil {
		began := time.Now()
		defer func() { c.o.Observe(cmd, began, err) }()
	}
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
		if res.err != nil {
			res.err = r.named(res.err)
		}
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
	if c.current != nil {
		c.current.wake.Signal()
	} else {
		c.connectIfNeeded()
	}
	return nil
}

// leave ends the wait of r's caller with err, unless the outcome has arrived. A
// command in flight stays in its queue, and closes its connection if it is not
// answered there for Timeout. The time counts from when the command was sent there,
// not from when it was called, so that a new connection is not blamed for commands
// whose time was used up by the first attempt.
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
			c.cut(l, ErrTimeout)
		}
	})
	return nil, r.named(err)
}

// Pool returns a pool whose connections pass Do on to the client. It opens no
// connections and lives as long as the client. Commands sent with Send are refused
// with an error that is [errors.ErrUnsupported].
func (c *Client) Pool() *redis.Pool { return c.pool }

// Reset closes the connection because of cause. Commands without a reply are sent
// again on a new connection, which is checked first. A connection that is being
// opened is not affected.
func (c *Client) Reset(cause error) {
	c.mu.Lock()
	links := slices.Collect(maps.Keys(c.live))
	c.mu.Unlock()
	for _, l := range links {
		c.cut(l, cause)
	}
}

// Close closes the connection and waits until all goroutines of the client have
// ended. Waiting commands return [ErrClosed].
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

// fail gives decided requests err as their outcome.
func fail(lost []*request, err error) {
	for _, r := range lost {
		r.done <- result{err: err}
	}
}
