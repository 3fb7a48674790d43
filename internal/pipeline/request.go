package pipeline

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

// request is one command and its caller.
type request struct {
	cmd  string
	args []any // never changed, so that they may be read without the lock
	// done gets the outcome exactly once, from the one that took the request off its
	// queue for good, as the last thing done with it. So a request whose outcome
	// was received is known to its caller alone, and only such a one is reused.
	done  chan result
	limit *time.Timer // ends the wait; once stopped or reset it delivers no earlier time

	// Guarded by Client.mu:
	place place
	link  *link     // where it was sent last
	sent  time.Time // when it was sent there
	tries int       // how often it was sent
	left  bool      // no caller receives from done any more
}

// place says which queue a request is in, if any.
type place int

const (
	pending  place = iota // in Client.pending
	inFlight              // in link.sent
	decided               // in no queue: its outcome is in done, or about to be
)

type result struct {
	reply any
	err   error
}

// named adds ErrOutcomeUnknown to the error of a request that was sent more often
// than it was answered. NOSCRIPT stays as it is, since redigo then sends the whole
// script. The caller holds Client.mu, or r is decided.
func (r *request) named(err error) error {
	unanswered := r.tries
	if reply, ok := err.(redis.Error); ok {
		unanswered--
		if strings.HasPrefix(string(reply), "NOSCRIPT") {
			return err
		}
	}
	if err == nil || unanswered <= 0 {
		return err
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
}

// request returns a request that is in no queue. It copies args, so that the caller
// cannot change them, converted as redigo would do it.
func (c *Client) request(cmd string, args []any) *request {
	r, _ := c.requests.Get().(*request)
	if r == nil {
		r = &request{done: make(chan result, 1), limit: time.NewTimer(c.o.Timeout)}
	} else {
		r.limit.Reset(c.o.Timeout)
	}
	r.cmd, r.args = cmd, make([]any, len(args))
	for i, arg := range args {
		if a, ok := arg.(redis.Argument); ok {
			arg = a.RedisArg()
		}
		switch arg := arg.(type) {
		case string, int, int64, float64, bool, nil:
			r.args[i] = arg
		case []byte:
			r.args[i] = bytes.Clone(arg)
		default:
			r.args[i] = fmt.Sprint(arg)
		}
	}
	return r
}

// release keeps a request whose outcome was received, for the next command.
func (c *Client) release(r *request) {
	r.limit.Stop()
	*r = request{done: r.done, limit: r.limit}
	c.requests.Put(r)
}

// needsOwnConnection reports whether cmd changes what later replies on its
// connection mean (transactions, subscriptions, another protocol, database or
// user), or delays them (blocking commands).
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
