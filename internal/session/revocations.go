package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/learn/trace"
)

// replayWindow is how far back ended sessions are ended again when the store
// may have lost its latest writes: a Redis that was killed (up to a second or
// two with appendfsync everysec), a replica that took over (seconds behind),
// a file put back by hand within the hour.
const replayWindow = time.Hour

// replayLimit is how long one replay may take. It does not hang on the request
// that caused it, which gives up much earlier: however much there is to end
// again, it is done some time.
const replayLimit = 30 * time.Second

// replayBatch is how many keys one DEL takes.
const replayBatch = 500

// revocations are the sessions that ended lately, as the ledger remembers
// them: the store alone does not make an ending last.
type revocations struct {
	ledger Ledger
	now    func() time.Time
}

// replay ends them again, through remove, before any session is believed.
func (r revocations) replay(ctx context.Context, remove func(keys []string) error) error {
	now := r.now()
	keys, err := r.ledger.EndedSince(ctx, now.Add(-replayWindow), now)
	if err != nil {
		return fmt.Errorf("find sessions that ended lately: %w", err)
	}
	for len(keys) > 0 {
		batch := keys[:min(replayBatch, len(keys))]
		if err := remove(batch); err != nil {
			return fmt.Errorf("end sessions again: %w", err)
		}
		keys = keys[len(batch):]
	}
	return nil
}

// greet looks at a connection just opened. When it leads to another run of
// Redis than the one before, whatever that one holds may be older than what
// this server knows, so revocations are replayed first; until that is done,
// the connection is not used. A Redis user that may not ask INFO is taken for
// a new run each time.
func (r *redisCells) greet(ctx context.Context, conn redis.Conn) error {
	run, err := r.runID(ctx, conn)
	if err != nil {
		return err
	}
	select {
	case r.greeting <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if run != "" && run == r.run {
		<-r.greeting
		return nil
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-r.greeting }()
		done <- r.replay()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// replay ends again what has ended lately, over a connection of its own, and
// keeps the name of the run it did so in. It is called by whoever holds greeting.
func (r *redisCells) replay() (err error) {
	ctx, cancel := context.WithTimeout(r.open, replayLimit)
	defer cancel()
	conn, err := r.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	run, err := r.runID(ctx, conn)
	if err != nil {
		return err
	}
	err = r.revocations.replay(ctx, func(keys []string) error {
		args := make([]any, len(keys))
		for i, key := range keys {
			args[i] = keyPrefix + key
		}
		_, err := r.on(ctx, conn, "DEL", args...)
		return err
	})
	if err != nil {
		return err
	}
	r.run = run
	return nil
}

// runID is a name that Redis gives itself anew at every start, "" when this
// user may not know it.
func (r *redisCells) runID(ctx context.Context, conn redis.Conn) (string, error) {
	info, err := redis.String(r.on(ctx, conn, "INFO", "server"))
	if isReply(err, "NOPERM") {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(info) {
		if id, ok := strings.CutPrefix(strings.TrimSpace(line), "run_id:"); ok {
			return id, nil
		}
	}
	return "", nil
}

// on sends one command on a connection that is not in use yet.
func (r *redisCells) on(ctx context.Context, conn redis.Conn, cmd string, args ...any) (any, error) {
	began := time.Now()
	reply, err := redis.DoContext(conn, ctx, cmd, args...)
	if rec := trace.From(ctx); rec != nil {
		rec.TimedOutside(1, began, command(rec, r.name, reply, err, cmd, args...))
	}
	return reply, err
}
