package pipeline

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

// request is one command and its asker.
type request struct {
	cmd  string
	args []any // never changed, so that they may be read without the lock
	// done gets the outcome exactly once, from whoever took the request off its
	// queue for good, as the last thing done with it. So a request whose outcome
	// was received is known to its asker alone, and only such a one is reused.
	done  chan result
	limit *time.Timer // Timeout after the command was asked; unused since then when stopped

	// Guarded by Client.mu:
	in         *queue // the queue it is in; nil once it has its outcome
	next, prev *request
	link       *link     // where it was sent last
	sent       time.Time // when it was sent there
	tries      int       // how often it was sent
	left       bool      // nobody receives from done any more
}

type result struct {
	reply any
	err   error
}

// request returns a request that is in no queue.
func (c *Client) request(cmd string, args []any) *request {
	r, _ := c.requests.Get().(*request)
	if r == nil {
		r = &request{done: make(chan result, 1), limit: time.NewTimer(c.o.Timeout)}
	} else {
		r.limit.Reset(c.o.Timeout)
	}
	r.cmd, r.args = cmd, frozen(args)
	return r
}

// release keeps a request, whose outcome was received, for the next command.
func (c *Client) release(r *request) {
	r.limit.Stop()
	*r = request{done: r.done, limit: r.limit}
	c.requests.Put(r)
}

// frozen copies args such that the caller cannot change the copy, converted as
// redigo would do.
func frozen(args []any) []any {
	own := make([]any, len(args))
	for i, arg := range args {
		if a, ok := arg.(redis.Argument); ok {
			arg = a.RedisArg()
		}
		switch arg := arg.(type) {
		case string, int, int64, float64, bool, nil:
			own[i] = arg
		case []byte:
			own[i] = bytes.Clone(arg)
		default:
			own[i] = fmt.Sprint(arg)
		}
	}
	return own
}

// fail gives requests that were taken off their queue an error.
func fail(lost []*request, err error) {
	for _, r := range lost {
		r.done <- result{err: err}
	}
}

// queue is a doubly linked list of requests. A request is in one at most.
type queue struct {
	first, last *request
	size        int
}

func (q *queue) push(r *request) {
	r.in, r.prev, r.next = q, q.last, nil
	if q.last == nil {
		q.first = r
	} else {
		q.last.next = r
	}
	q.last = r
	q.size++
}

func (q *queue) pushFront(r *request) {
	r.in, r.prev, r.next = q, nil, q.first
	if q.first == nil {
		q.last = r
	} else {
		q.first.prev = r
	}
	q.first = r
	q.size++
}

func (q *queue) remove(r *request) {
	if r.prev == nil {
		q.first = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		q.last = r.prev
	} else {
		r.next.prev = r.prev
	}
	r.in, r.prev, r.next = nil, nil, nil
	q.size--
}

// drain empties the queue.
func (q *queue) drain() []*request {
	all := make([]*request, 0, q.size)
	for q.first != nil {
		all = append(all, q.first)
		q.remove(q.first)
	}
	return all
}

// needsOwnConnection reports whether cmd changes what later replies on its
// connection mean (transactions, subscriptions, another protocol, database or
// user), or holds them up (commands that wait).
func needsOwnConnection(cmd string) bool {
	switch strings.ToUpper(cmd) {
	case "MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH",
		"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE",
		"MONITOR", "SYNC", "PSYNC", "REPLCONF",
		"SELECT", "AUTH", "HELLO", "RESET", "QUIT", "CLIENT", "ASKING", "READONLY", "READWRITE",
		"BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP",
		"XREAD", "XREADGROUP", "WAIT", "WAITAOF":
		return true
	}
	return false
}
