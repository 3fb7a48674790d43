package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/pipeline"
	"holdfast/internal/product"
)

// Endings are the sessions that have ended, as the people's database keeps them.
type Endings interface {
	// Now is the database's clock, which stamps endings.
	Now(ctx context.Context) (time.Time, error)
	// EndedSince passes the keys of sessions that ended at since or later, and
	// that could still be alive, to yield, batch by batch.
	EndedSince(ctx context.Context, since time.Time, yield func(keys []string) error) error
}

const (
	// beatKey holds the beat: a time of the database's clock in Unix
	// milliseconds. Every session whose end was stamped before it is not in this
	// data, and in no later state of it.
	beatKey = product.Heartbeat
	// beatEvery is the time between two beats of one server, and so the longest
	// time for which it can believe older data that came under its connection.
	beatEvery = time.Second
	// believedFor is how long after its last beat that Redis took a server
	// believes what it reads there: 503 then, and nobody is logged out.
	believedFor = 3 * time.Second
	// beatMargin is how much earlier than a beat endings are looked for. It must
	// exceed the time between an ending's stamp and its being visible to others
	// (DATABASE_TIMEOUT), and the difference between the clocks of a database and
	// of the replica that takes its place.
	beatMargin = 10 * time.Second
)

// errOlder: the data has an older beat than this server knows of, or none.
var errOlder = errors.New("Redis holds older data than before")

// errNoBeat: Redis has not taken a beat for believedFor. It may be cut off from
// the servers at which people log out.
var errNoBeat = errors.New("Redis takes no heartbeat")

// heartbeat makes sure that nothing is believed that was read from data in
// which ended sessions may live again: an older copy put back, a replica that
// was promoted, a master that is cut off.
//
// The beat T in a Redis says: every ending stamped before T has been applied to
// this data. It holds because whoever writes T has read the database's clock as
// T, then has removed all sessions that ended since the beat before (less
// beatMargin, for what was stamped and not yet visible then), and only then
// writes T to the same data. Replication and the append-only file are ordered,
// so a copy that has T has those removals too. Whoever meets a beat therefore
// has to apply the endings since that beat and no others, whatever happened to
// the data meanwhile and wherever those sessions were ended.
//
// TestNoOrderOfFaultsBringsAnEndedSessionBack checks this on a model, in every
// order of events.
type heartbeat struct {
	endings Endings
	timeout time.Duration // of one command
	client  *pipeline.Client
	log     *slog.Logger

	known    atomic.Int64 // the highest beat this server has met in the data
	next     atomic.Int64 // the beat that may be written: endings before it are applied
	checks   atomic.Int64 // how many connections were checked
	believed atomic.Int64 // until when, as the time since started; 0: not at all
	started  time.Time
	beating  condition
	doing    atomic.Pointer[string] // a check that takes long, for people
	stop     context.CancelFunc
	stopped  sync.WaitGroup
}

// beatScript takes the beat this server knows of and the new one. Where the data
// has a lower one, or none, it answers that and writes nothing. Otherwise it
// writes the higher of what is there and the new one, so that a Redis that takes
// no writes refuses, and answers it.
var beatScript = redis.NewScript(1, `
local stored = redis.call('GET', KEYS[1]) or '0'
if tonumber(stored) < tonumber(ARGV[1]) then return stored end
if tonumber(ARGV[2]) > tonumber(stored) then stored = ARGV[2] end
redis.call('SET', KEYS[1], stored)
return stored`)

func newHeartbeat(cfg Config) *heartbeat {
	return &heartbeat{
		endings: cfg.Endings, timeout: cfg.Timeout, log: cfg.Log, started: time.Now(),
		beating: condition{log: cfg.Log, level: slog.LevelWarn, down: "sessions are not believed", up: "sessions are believed again"},
	}
}

// run beats on client, and applies endings to the data there, until stopBeating.
func (h *heartbeat) run(client *pipeline.Client) {
	h.client = client
	ctx, cancel := context.WithCancel(context.Background())
	h.stop = cancel
	for _, act := range []func(context.Context){h.beat, h.applyNew} {
		h.stopped.Go(func() {
			tick := time.NewTicker(beatEvery)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					act(ctx)
				}
			}
		})
	}
}

func (h *heartbeat) stopBeating() {
	h.stop()
	h.stopped.Wait()
}

// believable returns nil while what is read from Redis can be believed.
func (h *heartbeat) believable() error {
	if int64(time.Since(h.started)) < h.believed.Load() {
		return nil
	}
	if doing := h.doing.Load(); doing != nil {
		return fmt.Errorf("%w: %s", errNoBeat, *doing)
	}
	return errNoBeat
}

// believe notes that Redis took a beat sent at a time.
func (h *heartbeat) believe(sent time.Time) {
	h.believed.Store(int64(sent.Sub(h.started) + believedFor))
	h.beating.markUp()
}

// beat writes a beat on the connection that is in use. Without one, asking
// opens one, which check looks at.
func (h *heartbeat) beat(context.Context) {
	conn := h.client.Pool().Get()
	defer conn.Close()
	known, sent := h.known.Load(), time.Now()
	err := h.met(known, sent, func() (string, error) {
		return redis.String(beatScript.Do(conn, beatKey, known, h.next.Load()))
	})
	if err != nil && h.believable() != nil {
		h.beating.markDown(err)
	}
}

// applyNew removes the sessions that have ended since the last beat, wherever
// that was: at a server that talks to another Redis, they are still here. While
// the database is away the beat stays as it is: it promises no more than before.
func (h *heartbeat) applyNew(ctx context.Context) {
	known, checks := h.known.Load(), h.checks.Load()
	if known == 0 {
		return // no connection has been checked yet
	}
	next, err := h.apply(ctx, known, func(keys []string) error {
		for batch := range slices.Chunk(keys, maxKeysAtOnce) {
			if _, err := h.client.DoContext(ctx, "DEL", prefixed(batch)...); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && h.checks.Load() == checks { // all of it went to the same data
		h.next.Store(next)
	}
}

// met handles the answer to a beat.
func (h *heartbeat) met(known int64, sent time.Time, ask func() (string, error)) error {
	answer, err := ask()
	if isReply(err, "OOM", "MISCONF") {
		// It has no room or no disk to write to, and is no other Redis for that.
		h.believe(sent)
		return nil
	}
	if err != nil {
		return err
	}
	stored, err := strconv.ParseInt(answer, 10, 64)
	if err != nil || stored < known {
		h.believed.Store(0)
		h.log.Warn("sessions are checked before they are believed", "cause", errOlder, "known", known, "found", answer)
		if h.client != nil {
			h.client.Reset(errOlder)
		}
		return errOlder
	}
	h.known.Store(stored)
	h.believe(sent)
	return nil
}

// apply removes the sessions that ended since a beat (0: all that could still
// be alive) and returns the beat that may be written then.
func (h *heartbeat) apply(ctx context.Context, since int64, remove func(keys []string) error) (next int64, err error) {
	now, err := h.endings.Now(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the database's clock: %w", err)
	}
	from := time.Unix(0, 0)
	if since > 0 {
		from = time.UnixMilli(since).Add(-beatMargin)
	}
	if err := h.endings.EndedSince(ctx, from, remove); err != nil {
		return 0, fmt.Errorf("remove ended sessions again: %w", err)
	}
	return max(since, now.UnixMilli()), nil
}

// check looks at a new connection before it is believed: it applies the endings
// since the beat that is in the data there, and writes a new one.
func (h *heartbeat) check(ctx context.Context, conn redis.Conn) error {
	h.believed.Store(0)
	h.checks.Add(1)
	do := func(cmd string, args ...any) (any, error) { return redis.DoWithTimeout(conn, h.timeout, cmd, args...) }
	since, err := redis.Int64(do("GET", beatKey))
	if err != nil && !errors.Is(err, redis.ErrNil) {
		return fmt.Errorf("read the beat: %w", err)
	}
	removed, told := 0, time.Now()
	defer h.doing.Store(nil)
	next, err := h.apply(ctx, since, func(keys []string) error {
		for batch := range slices.Chunk(keys, maxKeysAtOnce) {
			if err := conn.Send("DEL", prefixed(batch)...); err != nil {
				return err
			}
		}
		if err := firstError(do("")); err != nil {
			return err
		}
		removed += len(keys)
		if time.Since(told) > beatEvery {
			told = time.Now()
			doing := fmt.Sprintf("ending %d sessions again that had ended before", removed)
			h.doing.Store(&doing)
			h.log.Info("sessions are checked before they are believed", "ended_again", removed)
		}
		return nil
	})
	if err != nil {
		return err // told by whoever asks for the connection
	}
	h.next.Store(next)
	sent := time.Now()
	return h.met(since, sent, func() (string, error) {
		return redis.String(beatScript.Do(timed{conn, h.timeout}, beatKey, since, next))
	})
}

// firstError returns the error of several replies, or the first error reply
// among them.
func firstError(replies any, err error) error {
	all, err := redis.Values(replies, err)
	for _, reply := range all {
		if failed, ok := reply.(redis.Error); ok {
			return failed
		}
	}
	return err
}

// timed is a connection whose commands have a time limit.
type timed struct {
	redis.Conn
	timeout time.Duration
}

// Do implements [redis.Conn].
func (t timed) Do(cmd string, args ...any) (any, error) {
	return redis.DoWithTimeout(t.Conn, t.timeout, cmd, args...)
}
