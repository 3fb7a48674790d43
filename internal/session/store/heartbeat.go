package store

import (
	"context"
	"crypto/rand"
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

// markFor is how long the mark of a server that is gone stays.
const markFor = time.Minute

// errOlder: the data does not continue from what this server last wrote there.
var errOlder = errors.New("older data in Redis than before")

// errNoBeat: Redis has not taken a beat for believedFor. It may be cut off from
// the servers at which people log out.
var errNoBeat = errors.New("no heartbeat taken by Redis")

// errLapsed: data that was not believed for a while is taking steps again.
// Sessions may have ended elsewhere meanwhile.
var errLapsed = errors.New("no heartbeat taken by Redis for a while")

// errChecked: the connection that a step was meant for was replaced meanwhile.
var errChecked = errors.New("the connection to Redis was replaced")

// Repair is the error of a store that removes sessions again, from older data,
// before it believes anything that is read there.
type Repair struct{ Removed int } // so far

// Error implements [error]. It names nothing but the number.
func (r Repair) Error() string {
	return fmt.Sprintf("ending %d sessions again that had ended before", r.Removed)
}

// heartbeat makes sure that nothing is believed that was read from data in
// which ended sessions may live again: an older copy put back, a replica that
// was promoted, a master that is cut off.
//
// The beat T in a Redis says: every ending stamped before T has been applied to
// this data. Whoever writes T has read the database's clock as T, then has
// removed all sessions that ended since the beat before (less beatMargin, for
// what was stamped and not yet visible then), and only then writes T, all to the
// same data. Replication and the append-only file are ordered, so a copy that has
// T has those removals too. Whoever meets a beat therefore has to apply the
// endings since that beat and no others, whatever happened to the data meanwhile
// and wherever those sessions were ended.
//
// "To the same data" is made sure by steps: each is one script that finds the
// mark of this server's step before, and leaves its own. Data that lacks it does
// not continue from what this server wrote: it is a copy from before, or one that
// another server has written to. Nothing is written there, and a new connection
// begins with the beat it finds. A step every second is also what shows that
// Redis takes writes.
//
// TestNoOrderOfFaultsBringsAnEndedSessionBack checks this on a model, in every
// order of events.
type heartbeat struct {
	endings Endings
	timeout time.Duration // of one command
	client  *pipeline.Client
	log     *slog.Logger
	markKey string       // of this server
	marks   atomic.Int64 // none is used twice

	sending sync.Mutex // held for a step on the connection in use
	mu      sync.Mutex // guards last, checks
	last    step
	checks  int64 // how many connections were checked

	believed atomic.Int64 // until when, as the time since started; 0: not at all
	started  time.Time
	beating  condition
	behind   condition
	repair   atomic.Pointer[Repair] // a check that takes long
	stop     context.CancelFunc
	stopped  sync.WaitGroup
}

// step is where this server's steps have led.
type step struct {
	check int64  // number of the check that the connection in use has passed; 0: none has
	mark  string // left by the step
	beat  int64  // in the data then
}

// stepScript takes the server's mark, the beat, a key that is never there, and
// those to be removed; the mark to be found, the one to leave, how long to keep
// it in milliseconds, the lowest beat to be found, and the beat to write at
// least. It answers the beat that is there then, or OLDER.
//
// After a removal Redis takes the rest of a script even when it has no room.
// When it refuses all writes because it cannot save them (MISCONF) or has no
// replicas (NOREPLICAS), that is the answer if none of the keys is there, and
// BEHIND if one is.
var stepScript = redis.NewScript(-1, `
local mark, beat = unpack(redis.call('MGET', KEYS[1], KEYS[2]))
beat = tonumber(beat or '') or 0
if (mark or '') ~= ARGV[1] or beat < tonumber(ARGV[4]) then return 'OLDER' end
local removed = redis.pcall('DEL', unpack(KEYS, 3))
if type(removed) == 'table' then
  local refused = string.find(removed.err, 'MISCONF', 1, true) or string.find(removed.err, 'NOREPLICAS', 1, true)
  if refused and redis.call('EXISTS', unpack(KEYS, 3)) > 0 then
    return redis.error_reply('BEHIND ended sessions cannot be removed')
  end
  return removed
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if tonumber(ARGV[5]) > beat then
  beat = tonumber(ARGV[5])
  redis.call('SET', KEYS[2], ARGV[5])
end
return string.format('%.0f', beat)`)

func newHeartbeat(cfg Config) *heartbeat {
	return &heartbeat{
		endings: cfg.Endings, timeout: cfg.Timeout, log: cfg.Log, started: time.Now(), markKey: beatKey + ":" + rand.Text(),
		beating: condition{log: cfg.Log, level: slog.LevelWarn, down: "sessions are not believed", up: "sessions are believed again"},
		behind:  condition{log: cfg.Log, level: slog.LevelWarn, down: "sessions that end elsewhere are not removed here", up: "sessions that end elsewhere are removed here again"},
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
	return h.explain(errNoBeat)
}

// explain adds to an error what takes long, if anything does.
func (h *heartbeat) explain(err error) error {
	if repair := h.repair.Load(); err != nil && repair != nil {
		return fmt.Errorf("%w: %w", err, *repair)
	}
	return err
}

// current is the last step on the connection in use.
func (h *heartbeat) current() step {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// took notes a step that Redis took on the connection that at belongs to, sent
// at a time. Errors: errChecked when another one is in use, errLapsed when the
// step before is too long ago.
func (h *heartbeat) took(at step, sent time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last.check != at.check {
		return errChecked
	}
	if h.believable() != nil {
		return errLapsed
	}
	h.take(at, sent)
	return nil
}

func (h *heartbeat) take(at step, sent time.Time) {
	h.last = at
	h.believed.Store(int64(sent.Sub(h.started) + believedFor))
	h.beating.markUp()
}

// beat makes a step on the connection in use. Without one, asking opens one,
// which check looks at.
func (h *heartbeat) beat(ctx context.Context) {
	var err error
	if check := h.current().check; check != 0 {
		err = h.proceed(check, nil, 0)
	} else {
		_, err = h.client.DoContext(ctx, "PING")
	}
	if err != nil && !errors.Is(err, errChecked) && h.believable() != nil {
		h.beating.markDown(err)
	}
}

// applyNew removes the sessions that have ended since the beat, wherever that
// was: at a server that talks to another Redis, they are still here. While the
// database is away the beat stays as it is: it promises no more than before.
func (h *heartbeat) applyNew(ctx context.Context) {
	at := h.current()
	if at.check == 0 {
		return // no connection is in use
	}
	next, err := h.apply(ctx, at.beat, func(keys []string) error {
		for batch := range slices.Chunk(keys, maxKeysAtOnce) {
			if err := h.proceed(at.check, batch, 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = h.proceed(at.check, nil, next)
	}
	h.applying(ctx, err)
}

// applying logs once when endings made elsewhere stop being applied here, and
// once when they are again.
func (h *heartbeat) applying(ctx context.Context, err error) {
	switch {
	case err == nil:
		h.behind.markUp()
	case !errors.Is(err, errChecked) && ctx.Err() == nil:
		h.behind.markDown(err)
	}
}

// proceed makes a step on the connection in use, if that is the one that passed
// this check: it removes keys and raises the beat.
func (h *heartbeat) proceed(check int64, keys []string, beat int64) error {
	h.sending.Lock()
	defer h.sending.Unlock()
	at := h.current()
	if at.check != check {
		return errChecked
	}
	conn := h.client.Pool().Get()
	defer conn.Close()
	sent := time.Now()
	next, err := h.step(conn, at, keys, beat)
	if err == nil {
		err = h.took(next, sent)
	}
	if errors.Is(err, errOlder) || errors.Is(err, errLapsed) || isReply(err, "BEHIND") {
		h.distrust(at, err)
	}
	return err
}

// distrust has nothing believed that is read on the connection of a step, if that
// is in use, and a new one checked.
func (h *heartbeat) distrust(at step, cause error) {
	if h.forget(at.check) {
		h.log.Warn("sessions are checked before they are believed", "cause", cause, "known", at.beat)
		h.client.Reset(cause)
	}
}

// forget has nothing believed that is read on the connection that passed this
// check, and reports whether that was in use.
func (h *heartbeat) forget(check int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last.check != check {
		return false
	}
	h.last = step{}
	h.believed.Store(0)
	return true
}

// step makes the step after at on conn, and returns where it led.
func (h *heartbeat) step(conn redis.Conn, at step, keys []string, beat int64) (step, error) {
	mark := strconv.FormatInt(h.marks.Add(1), 10)
	args := redis.Args{3 + len(keys), h.markKey, beatKey, h.markKey + ":none"}
	args = append(args, prefixed(keys)...)
	args = args.Add(at.mark, mark, markFor.Milliseconds(), at.beat, beat)
	answer, err := redis.String(stepScript.Do(conn, args...))
	if isReply(err, "MISCONF") {
		return at, nil // it has no disk to write to, and is no other Redis for that
	}
	if err != nil {
		return at, err
	}
	at.beat, err = strconv.ParseInt(answer, 10, 64)
	if err != nil {
		return at, errOlder
	}
	at.mark = mark
	return at, nil
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
		// The earlier of the two: a clock that was set back stamps earlier, too.
		from = time.UnixMilli(min(since, now.UnixMilli())).Add(-beatMargin)
	}
	if err := h.endings.EndedSince(ctx, from, remove); err != nil {
		return 0, fmt.Errorf("remove ended sessions again: %w", err)
	}
	return max(since, now.UnixMilli()), nil
}

// check looks at a new connection before it is believed: it applies the endings
// since the beat that is in the data there, and writes a new one.
func (h *heartbeat) check(ctx context.Context, conn redis.Conn) error {
	h.mu.Lock()
	h.checks++
	number := h.checks
	h.last = step{}
	h.believed.Store(0)
	h.mu.Unlock()

	timed := timed{conn, h.timeout}
	h.awaitTurn(ctx, timed)
	defer func() { _, _ = timed.Do("DEL", turnKey) }()
	found, err := redis.Strings(timed.Do("MGET", h.markKey, beatKey))
	if err == nil && len(found) != 2 {
		err = errors.New("answer of another command")
	}
	if err != nil {
		return fmt.Errorf("read the beat: %w", err)
	}
	at := step{mark: found[0]}
	at.beat, _ = strconv.ParseInt(found[1], 10, 64) // 0 for none
	removed, told := 0, time.Now()
	defer h.repair.Store(nil)
	next, err := h.apply(ctx, at.beat, func(keys []string) error {
		for batch := range slices.Chunk(keys, maxKeysAtOnce) {
			if at, err = h.step(timed, at, batch, 0); err != nil {
				return err
			}
		}
		_, _ = timed.Do("SET", turnKey, "", "PX", turnFor.Milliseconds())
		removed += len(keys)
		h.repair.Store(&Repair{removed})
		if time.Since(told) > beatEvery {
			told = time.Now()
			h.log.Info("sessions are checked before they are believed", "ended_again", removed)
		}
		return nil
	})
	if err != nil {
		return err // told by whoever asks for the connection
	}
	sent := time.Now()
	if at, err = h.step(timed, at, nil, next); err != nil {
		return err
	}
	at.check = number
	h.mu.Lock()
	defer h.mu.Unlock()
	h.take(at, sent)
	return nil
}

// Of servers that meet the same older data at once, one does the work, and the
// others find its beat. That only saves work: whoever has waited for turnFor
// without a sign of another goes ahead.
const (
	turnKey  = beatKey + ".turn"
	turnFor  = time.Second
	turnTick = 20 * time.Millisecond
)

func (h *heartbeat) awaitTurn(ctx context.Context, conn redis.Conn) {
	tick := time.NewTicker(turnTick)
	defer tick.Stop()
	for {
		reply, err := conn.Do("SET", turnKey, "", "NX", "PX", turnFor.Milliseconds())
		if reply != nil || err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
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
