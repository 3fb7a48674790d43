package pipeline

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"
)

const (
	// maxInFlight bounds the replies that Redis may have to hold for this
	// connection at once, as it answers faster than it can send. With replies
	// of 1 MB it is half a gigabyte; 1 ms away it allows 500,000 commands a second.
	maxInFlight = 512
	// maxTries is how often a command is sent.
	maxTries = 2
)

var errUnsolicited = errors.New("unsolicited reply")

// link is one open connection. It is current, or retired (it still receives replies
// but gets no more commands), or cut (it is not in Client.live).
type link struct {
	conn redis.Conn
	sent []*request // guarded by Client.mu; in the order written to conn
	wake sync.Cond  // on Client.mu: there may be something to write, or l is no longer current
}

// connectIfNeeded starts one connection attempt for all callers that wait. The
// caller holds c.mu.
func (c *Client) connectIfNeeded() {
	if len(c.pending) > 0 && c.current == nil && !c.connecting && !c.closed {
		c.connecting = true
		c.running.Go(c.connect)
	}
}

func (c *Client) connect() {
	conn, err := c.openConn()
	c.mu.Lock()
	c.connecting = false
	if err == nil && !c.closed {
		l := &link{conn: conn, wake: sync.Cond{L: &c.mu}}
		c.current = l
		c.live[l] = struct{}{}
		c.running.Go(func() { c.read(l) })
		c.running.Go(func() { c.write(l) })
		c.mu.Unlock()
		return
	}
	lost := c.takePending()
	c.mu.Unlock()
	if err == nil {
		conn.Close()
	}
	fail(lost, err)
}

func (c *Client) openConn() (redis.Conn, error) {
	ctx, cancel := c.open, context.CancelFunc(func() {})
	if c.o.ConnectTimeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, c.o.ConnectTimeout)
	}
	defer cancel()
	conn, err := c.o.Dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to Redis: %w", err)
	}
	if c.o.Check == nil {
		return conn, nil
	}
	stop := context.AfterFunc(c.open, func() { conn.Close() })
	defer stop()
	err = c.o.Check(c.open, conn)
	if err == nil {
		_, err = conn.Do("") // receives what Check sent and did not receive
	}
	if err == nil {
		err = conn.Err()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("check Redis connection: %w", err)
	}
	return conn, nil
}

// write sends pending requests on l until l is no longer current. It yields first,
// so that goroutines that are ready can add their commands to the same write.
func (c *Client) write(l *link) {
	for c.awaitWork(l) {
		runtime.Gosched()
		for {
			cmd, args, ok := c.take(l)
			if !ok {
				break
			}
			if err := l.conn.Send(cmd, args...); err != nil {
				c.cut(l, err)
				return
			}
		}
		if err := l.conn.Flush(); err != nil {
			c.cut(l, err)
			return
		}
	}
}

// awaitWork returns true when there is a pending request, false when l is no longer
// current.
func (c *Client) awaitWork(l *link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.current == l && (len(c.pending) == 0 || len(l.sent) >= maxInFlight) {
		l.wake.Wait()
	}
	return c.current == l
}

// take moves the first pending request to the end of l's queue and returns the
// command to send for it. It does not return the request: once it is in the queue,
// it may be answered and reused.
func (c *Client) take(l *link) (cmd string, args []any, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != l || len(c.pending) == 0 || len(l.sent) >= maxInFlight {
		return "", nil, false
	}
	r := c.pending[0]
	c.pending = c.pending[1:]
	l.sent = append(l.sent, r)
	r.place, r.link, r.sent = inFlight, l, time.Now()
	r.tries++
	return r.cmd, r.args, true
}

// read delivers the replies that arrive on l until l is cut.
func (c *Client) read(l *link) {
	for {
		reply, err := l.receive()
		errorReply, refused := err.(redis.Error)
		if err != nil && !refused {
			c.cut(l, err)
			return
		}
		c.mu.Lock()
		if len(l.sent) == 0 {
			c.mu.Unlock()
			c.cut(l, errUnsolicited)
			return
		}
		r := l.sent[0]
		l.sent = l.sent[1:]
		r.place = decided
		if refused && c.current == l && isNoLongerFit(errorReply) {
			c.current = nil
			c.connectIfNeeded()
			l.wake.Signal()
		}
		if len(c.pending) > 0 {
			l.wake.Signal() // l may have been full
		}
		drained := c.current != l && len(l.sent) == 0
		c.mu.Unlock()
		if !r.left {
			r.done <- result{reply, err}
		}
		if drained {
			c.cut(l, nil)
			return
		}
	}
}

// receive waits for one reply without limit. redigo allocates the length that a
// reply announces, and panics if it is absurd.
func (l *link) receive() (reply any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("unreadable reply: %v", p)
		}
	}()
	if conn, ok := l.conn.(redis.ConnWithTimeout); ok {
		return conn.ReceiveWithTimeout(0)
	}
	return l.conn.Receive()
}

// isNoLongerFit reports whether an error reply means that another connection should
// be tried, perhaps to another server behind the same address. The commands already
// on this one still get their replies.
func isNoLongerFit(reply redis.Error) bool {
	code, _, _ := strings.Cut(string(reply), " ")
	switch code {
	case "READONLY", "LOADING", "MASTERDOWN", "NOAUTH", "WRONGPASS":
		return true
	}
	return false
}

// cut closes l. Requests that were sent on it and not answered become pending
// again, ahead of all others, or fail if it was their second attempt.
func (c *Client) cut(l *link, cause error) {
	c.mu.Lock()
	if _, ok := c.live[l]; !ok {
		c.mu.Unlock()
		return
	}
	delete(c.live, l)
	if c.current == l {
		c.current = nil
	}
	l.wake.Signal()
	var again, lost []*request
	for _, r := range l.sent {
		switch {
		case r.left:
			r.place = decided
		case r.tries < maxTries && !c.closed:
			r.place = pending
			again = append(again, r)
		default:
			r.place = decided
			lost = append(lost, r)
		}
	}
	l.sent = nil
	c.pending = append(again, c.pending...)
	c.connectIfNeeded()
	c.running.Go(func() { l.conn.Close() }) // closing TLS may wait for a write
	c.mu.Unlock()
	if cause != ErrClosed {
		cause = fmt.Errorf("connection to Redis closed: %w", cause)
	}
	fail(lost, cause)
}
