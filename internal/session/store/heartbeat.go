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

	"holdfast/internal/embeddedredis"
	"holdfast/internal/pipeline"
	"holdfast/internal/product"
)

// Endings are the sessions that have ended, as the people's database keeps them.
type Endings interface {
	// Clock reads the database's clock, which stamps endings.
	Clock(ctx context.Context) (Clock, error)
	// EndedSince passes the keys of sessions that ended at since or later, and
	// that could still be alive, to yield, batch by batch.
	EndedSince(ctx context.Context, since time.Time, yield func(keys []string) error) error
}

const (
	// beatKey holds the time of the beat in Unix milliseconds, and epochKey its
	// epoch: see [Clock]. Every session whose end was stamped before the beat is not
	// in this data, and in no later state of it.
	beatKey  = product.Heartbeat
	epochKey = beatKey + ".epoch"
	// beatEvery is the time between two beats of one server, and so the longest
	// time for which it can believe older data that came under its connection.
	beatEvery = time.Second
	// believedFor is how long after its last beat that Redis took a server
	// believes what it reads there: 503 then, and nobody is logged out.
	believedFor = 3 * time.Second
	// beatMargin is how much earlier than a beat endings are looked for. It must
	// exceed the time between an ending's stamp and its being visible to others
	// (DATABASE_TIMEOUT), and what a replica that takes the database's place has
	// missed.
	beatMargin = 10 * time.Second
)

// markFor is how long the mark of a server that is gone stays.
const markFor = time.Minute

// errOlder: the data does not continue from what this server last wrote there.
var errOlder = errors.New("older data in Redis than before")

// ErrNoHeartbeat: Redis has not taken a beat for believedFor. It may be cut off from
// the servers at which people log out.
var ErrNoHeartbeat = errors.New("no heartbeat taken by Redis")

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
// this data. Whoever writes T has read the floor of the database's clock as T, then
// has removed all sessions that ended since the beat before (less beatMargin, for
// what was stamped and not yet visible then), and only then writes T, all to the
// same data. A beat that proves nothing counts as none, and everything is applied:
// see beat.since. Replication and the append-only file are ordered, so a copy that has
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
	clock   *clockWatch
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
	beat  beat   // in the data then
}

// stepScript takes the keys of the server's mark, the beat, its epoch, a key that is
// never there, and those to be removed; the mark to be found, the one to leave, how
// long to keep it in milliseconds, and the beat to write with its epoch, "" for none;
// and the beat to be found where no mark is. It answers the beat and the epoch that are
// there then, or nothing if it has not found what was to be found. It does not read
// them as times: a beat that is written is true of this data whatever was there
// before, be that later, junk or none.
//
// After a removal Redis takes the rest of a script even when it has no room.
// When it refuses all writes because it cannot save them (MISCONF) or has no
// replicas (NOREPLICAS), that is the answer if none of the keys is there, and
// BEHIND if one is.
var stepScript = redis.NewScript(-1, stepLua)

const stepLua = `
local mark, beat, epoch = unpack(redis.call('MGET', KEYS[1], KEYS[2], KEYS[3]))
if ARGV[1] ~= '*' and ((mark or '') ~= ARGV[1] or ARGV[1] == '' and (beat or '') ~= ARGV[6]) then return {} end
local removed = redis.pcall('DEL', unpack(KEYS, 4))
if type(removed) == 'table' then
  local refused = string.find(removed.err, 'MISCONF', 1, true) or string.find(removed.err, 'NOREPLICAS', 1, true)
  if refused and redis.call('EXISTS', unpack(KEYS, 4)) > 0 then
    return redis.error_reply('BEHIND ended sessions cannot be removed')
  end
  return removed
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if ARGV[4] ~= '' then
  beat, epoch = ARGV[4], ARGV[5]
  redis.call('SET', KEYS[2], beat)
  redis.call('SET', KEYS[3], epoch)
end
return {beat or '', epoch or ''}`

// stepInGo is stepScript for the embedded Redis.
var stepInGo = embeddedredis.Script{
	Source: stepLua,
	Run: func(tx embeddedredis.Tx, keys []string, args [][]byte) (any, error) {
		var found [3]string // the mark, the beat and its epoch
		for i, key := range keys[:3] {
			value, err := tx.Get(key)
			if err != nil {
				return nil, err
			}
			found[i] = string(value)
		}
		expected, mark, keep, next, nextEpoch, expectedBeat := string(args[0]), args[1], string(args[2]), args[3], args[4], string(args[5])
		if expected != anyMark && (found[0] != expected || expected == "" && found[1] != expectedBeat) {
			return []string{}, nil
		}
		if _, err := tx.Delete(keys[3:]...); err != nil {
			return nil, err
		}
		ms, err := strconv.ParseInt(keep, 10, 64)
		if err != nil {
			return nil, err
		}
		if err := tx.Set(keys[0], mark, time.Duration(ms)*time.Millisecond); err != nil {
			return nil, err
		}
		if len(next) == 0 {
			return found[1:], nil
		}
		return []string{string(next), string(nextEpoch)}, errors.Join(tx.Set(keys[1], next, 0), tx.Set(keys[2], nextEpoch, 0))
	},
	Failed: func(tx embeddedredis.Tx, keys []string) error {
		if left, err := tx.Exists(keys[3:]...); left == 0 || err != nil {
			return err
		}
		return redis.Error("BEHIND ended sessions cannot be removed")
	},
}

func newHeartbeat(cfg Config) *heartbeat {
	return &heartbeat{
		endings: cfg.Endings, timeout: cfg.Timeout, clock: newClockWatch(cfg.Log), log: cfg.Log, started: time.Now(), markKey: beatKey + ":" + rand.Text(),
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
	return h.explain(ErrNoHeartbeat)
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
		err = h.proceed(check, nil, beat{})
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
			if err := h.proceed(at.check, batch, beat{}); err != nil {
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
// this check: it removes keys and writes a beat, unless that is the zero one.
func (h *heartbeat) proceed(check int64, keys []string, write beat) error {
	h.sending.Lock()
	defer h.sending.Unlock()
	at := h.current()
	if at.check != check {
		return errChecked
	}
	conn := h.client.Pool().Get()
	defer conn.Close()
	sent := time.Now()
	next, err := h.step(conn, at, keys, write)
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
		h.log.Warn("sessions are checked before they are believed", "cause", cause, "known", at.beat.ms())
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
func (h *heartbeat) step(conn redis.Conn, at step, keys []string, write beat) (step, error) {
	mark := strconv.FormatInt(h.marks.Add(1), 10)
	args := redis.Args{4 + len(keys), h.markKey, beatKey, epochKey, h.markKey + ":none"}
	args = append(args, prefixed(keys)...)
	args = args.Add(at.mark, mark, markFor.Milliseconds(), write.at, write.epoch, at.beat.at)
	answer, err := redis.Strings(stepScript.Do(conn, args...))
	if isReply(err, "MISCONF") {
		return at, nil // it has no disk to write to, and is no other Redis for that
	}
	if isReply(err, "NOREPLICAS") {
		return at, fmt.Errorf("%w: %w", ErrNoHeartbeat, err)
	}
	if err != nil {
		return at, err
	}
	if len(answer) != 2 {
		return at, errOlder
	}
	at.mark, at.beat = mark, beat{answer[0], answer[1]}
	return at, nil
}

// apply removes the sessions that ended since the beat found, or all that could
// still be alive if it proves nothing, and returns the beat that may be written then.
func (h *heartbeat) apply(ctx context.Context, found beat, remove func(keys []string) error) (next beat, err error) {
	clock, err := h.clock.read(ctx, h.endings)
	if err != nil {
		return beat{}, fmt.Errorf("read the database's clock: %w", err)
	}
	since, alarm := found.since(clock)
	if alarm != "" {
		h.log.Error(alarm+": replaying every revocation", "watermark", found.ms(), "floor", clock.Floor.UnixMilli())
	}
	if err := h.endings.EndedSince(ctx, since, remove); err != nil {
		return beat{}, fmt.Errorf("remove ended sessions again: %w", err)
	}
	return beatOf(clock), nil
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
	defer h.repair.Store(nil)
	if err := h.awaitTurn(ctx, timed); err != nil {
		return fmt.Errorf("wait for a turn: %w", err)
	}
	defer func() { _, _ = timed.Do("DEL", turnKey) }()
	at, err := h.firstStep(timed)
	if err != nil {
		return fmt.Errorf("read the beat: %w", err)
	}
	removed, told := 0, time.Now()
	h.repair.Store(&Repair{})
	next, err := h.apply(ctx, at.beat, func(keys []string) error {
		for batch := range slices.Chunk(keys, maxKeysAtOnce) {
			if at, err = h.step(timed, at, batch, beat{}); err != nil {
				return err
			}
		}
		removed += len(keys)
		h.holdTurn(timed, removed)
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

// anyMark is the mark to be found by a step that begins with what is there.
const anyMark = "*"

// firstStep reads the beat, and leaves a mark in the data that has it. A Redis that
// has no disk to write to takes none, and no other beat either.
func (h *heartbeat) firstStep(conn redis.Conn) (step, error) {
	at, err := h.step(conn, step{mark: anyMark}, nil, beat{})
	if err != nil || at.mark != anyMark {
		return at, err
	}
	found, err := redis.Strings(conn.Do("MGET", h.markKey, beatKey, epochKey))
	if err == nil && len(found) != 3 {
		err = errors.New("answer of another command")
	}
	if err != nil {
		return step{}, err
	}
	return step{mark: found[0], beat: beat{found[1], found[2]}}, nil
}

// Of servers that meet the same older data at once, one does the work, and the
// others find its beat. That only saves work: whoever has waited for turnFor
// without a sign of another goes ahead. A sign is a value under turnKey that was not
// there before, so that nothing which lies there without a server can hold one up.
const (
	turnKey  = beatKey + ".turn"
	turnFor  = time.Second
	turnTick = 20 * time.Millisecond
)

func (h *heartbeat) awaitTurn(ctx context.Context, conn redis.Conn) error {
	tick := time.NewTicker(turnTick)
	defer tick.Stop()
	seen, since := "", time.Now()
	for {
		reply, err := conn.Do("SET", turnKey, h.turn(0), "NX", "PX", turnFor.Milliseconds())
		if isReply(err, "NOAUTH", "NOPERM") {
			return err // of a longer command, Redis does not say that a password is missing
		}
		if reply != nil || err != nil {
			return nil
		}
		if sign, err := redis.String(conn.Do("GET", turnKey)); err == nil && sign != seen {
			seen, since = sign, time.Now()
		}
		if time.Since(since) > turnFor {
			h.holdTurn(conn, 0)
			return nil
		}
		h.repair.Store(&Repair{}) // another one is at it
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// holdTurn shows to others that this server is at it.
func (h *heartbeat) holdTurn(conn redis.Conn, removed int) {
	_, _ = conn.Do("SET", turnKey, h.turn(removed), "PX", turnFor.Milliseconds())
}

func (h *heartbeat) turn(removed int) string { return h.markKey + " " + strconv.Itoa(removed) }

// timed is a connection whose commands have a time limit.
type timed struct {
	redis.Conn
	timeout time.Duration
}

// Do implements [redis.Conn].
func (t timed) Do(cmd string, args ...any) (any, error) {
	return redis.DoWithTimeout(t.Conn, t.timeout, cmd, args...)
}
