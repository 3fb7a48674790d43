package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

// replayWindow is how far back ended sessions are removed again when the store
// may have lost its latest writes.
const replayWindow = time.Hour

// replayTimeout bounds one replay. It does not depend on the request that
// caused it, which gives up much earlier.
const replayTimeout = 30 * time.Second

// replay removes the sessions that ended lately once more.
func replay(ctx context.Context, revoked Revoked, remove func(context.Context, ...string) error) error {
	return revoked(ctx, time.Now().Add(-replayWindow), func(keys []string) error {
		if err := remove(ctx, keys...); err != nil {
			return fmt.Errorf("remove ended sessions again: %w", err)
		}
		return nil
	})
}

// runs remembers which run of Redis is known to hold no session that has ended.
// The pipelined connection asks it about every new connection, one at a time.
type runs struct {
	revoked Revoked
	timeout time.Duration // of one command
	known   string
}

// check looks at a new connection. When it leads to another run of Redis than
// the one before, what that one holds may be older than what this server knows,
// so the sessions that ended are removed again first. A Redis user that may not
// ask INFO is taken for a new run each time.
func (r *runs) check(ctx context.Context, conn redis.Conn) error {
	id, err := runID(redis.DoWithTimeout(conn, r.timeout, "INFO", "server"))
	if err != nil || id != "" && id == r.known {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	err = replay(ctx, r.revoked, func(_ context.Context, keys ...string) error {
		_, err := redis.DoWithTimeout(conn, r.timeout, "DEL", prefixed(keys)...)
		return err
	})
	if err == nil {
		r.known = id
	}
	return err
}

// runID is the name that Redis gives itself anew at every start, "" when this
// user may not know it.
func runID(info any, err error) (string, error) {
	if isReply(err, "NOPERM") {
		return "", nil
	}
	text, err := redis.String(info, err)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		if id, ok := strings.CutPrefix(strings.TrimSpace(line), "run_id:"); ok {
			return id, nil
		}
	}
	return "", nil
}
