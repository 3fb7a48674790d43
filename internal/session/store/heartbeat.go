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

// RevocationLog are the revoked sessions, as the database records them.
type RevocationLog interface {
	// Clock reads the database's clock, which stamps revocations.
	Clock(ctx context.Context) (Clock, error)
	// RevokedSince passes the keys of sessions that were revoked at since or later, and
	// that have not expired, to yield, batch by batch.
	RevokedSince(ctx context.Context, since time.Time, yield func(keys []string) error) error
}

const (
	// watermarkKey holds the watermark in Unix milliseconds, and epochKey its epoch:
	// see [Clock]. No session revoked before the watermark is in this data, nor in
	// any later state of it.
	watermarkKey = product.Heartbeat
	epochKey     = watermarkKey + ".epoch"
	// heartbeatEvery is the time between two heartbeat writes of one server, and so
	// the longest time for which it can trust older data that was put under its
	// connection.
	heartbeatEvery = time.Second
	// trustFor is how long after the last heartbeat write that Redis accepted a
	// server trusts what it reads there. After that it answers 503, and logs no one out.
	trustFor = 3 * time.Second
	// trustEmbeddedFor is trustFor for the Redis that runs in this process. It cannot be
	// cut off from anyone, and only a starved machine is late with a heartbeat.
	trustEmbeddedFor = time.Minute
	// watermarkMargin is how much earlier than a watermark the replay of revocations
	// begins. It must exceed the time between a revocation's stamp and its being
	// visible to others (DATABASE_TIMEOUT), and what a replica that replaces the
	// database has missed.
	watermarkMargin = 10 * time.Second
)

// ErrNoHeartbeat: Redis has not accepted a heartbeat write for trustFor. It may be cut
// off from the servers at which people log out.
var ErrNoHeartbeat = errors.New("no heartbeat accepted by Redis")

// errLapsed: data that was not trusted for a while accepts heartbeat writes again.
// Sessions may have been revoked elsewhere in the meantime.
var errLapsed = errors.New("no heartbeat accepted by Redis for too long")

// errReplaced: the connection that a heartbeat write was meant for was replaced.
var errReplaced = errors.New("connection to Redis replaced")

// Repair is the error of a store that removes revoked sessions from older data before
// it trusts anything read there.
type Repair struct{ Removed int } // so far

// Error implements [error]. It contains nothing but the number.
func (r Repair) Error() string {
	return fmt.Sprintf("checking sessions before use: %d revocations applied again", r.Removed)
}

// heartbeat makes sure that no data is trusted in which revoked sessions may live
// again: an older copy put back, a replica that was promoted, a master that is cut
// off.
//
// The watermark T in a Redis says: every revocation stamped before T has been applied
// to this data. The server that writes T first reads the floor of the database's clock
// as T, then removes all sessions revoked since the previous watermark (less
// watermarkMargin, for revocations that were stamped and not yet visible), and only
// then writes T, all to the same data. An invalid watermark counts as none, and every
// revocation is applied: see watermark.since. Replication and the append-only file keep
// the order of writes, so a copy that has T has those removals too. A server that finds
// a watermark therefore has to apply the revocations since then and no others, whatever
// happened to the data in between and wherever those sessions were revoked.
//
// A lease ensures "the same data": each write is one script that looks for the fencing
// token of this server's previous write, and leaves a new one. Data without it does not
// continue from what this server wrote: it is an earlier copy, or one that another
// server has written to. Nothing is written there, and a new connection begins with the
// watermark it finds. A write every second also shows that Redis accepts writes.
//
// TestNoOrderOfFaultsBringsAnEndedSessionBack checks this on a model, in every order of
// events.
type heartbeat struct {
	endings  RevocationLog
	trustFor time.Duration
	timeout  time.Duration // of a read
	clock    *clockWatch
	client   *pipeline.Client
	log      *slog.Logger
	tokenKey string       // of this server
	tokens   atomic.Int64 // none is used twice

	sending sync.Mutex // held for a heartbeat write on the connection in use
	mu      sync.Mutex // guards last, checks
	last    lease
	checks  int64 // how many connections were checked

	trustedUntil atomic.Int64 // as the time since started; 0: not trusted
	started      time.Time
	beating      condition
	behind       condition
	repair       atomic.Pointer[Repair] // a check that takes long
	stop         func()
}

func newHeartbeat(cfg Config) *heartbeat {
	return &heartbeat{
		endings: cfg.RevocationLog, trustFor: trustFor, timeout: cfg.Timeout, clock: newClockWatch(cfg.Log), log: cfg.Log, started: time.Now(), tokenKey: watermarkKey + ":" + rand.Text(),
		beating: condition{log: cfg.Log, level: slog.LevelWarn, down: "sessions not trusted: no heartbeat accepted by Redis", up: "sessions trusted again"},
		behind:  condition{log: cfg.Log, level: slog.LevelWarn, down: "revocations from other instances not applied", up: "revocations from other instances applied again"},
	}
}

// run writes heartbeats on client, and applies revocations to the data there, until
// stop.
func (h *heartbeat) run(client *pipeline.Client) {
	h.client = client
	h.stop = repeat(heartbeatEvery, h.write, h.replayNew)
}

// checkTrust returns nil while what is read from Redis can be trusted.
func (h *heartbeat) checkTrust() error {
	if int64(time.Since(h.started)) < h.trustedUntil.Load() {
		return nil
	}
	return h.explain(ErrNoHeartbeat)
}

// awaitTrust waits for the next heartbeat, if trust has lapsed and none has failed
// since: the process was suspended, and a request was ahead of the heartbeat, or the
// heartbeat found older data while the request was reading. It reports whether what is
// read from then on can be trusted.
func (h *heartbeat) awaitTrust(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	tick := time.Tick(turnTick)
	for ctx.Err() == nil && !h.beating.isDown.Load() {
		if h.checkTrust() == nil {
			return true
		}
		<-tick
	}
	return false
}

// explain adds to an error what takes long, if anything does.
func (h *heartbeat) explain(err error) error {
	if repair := h.repair.Load(); err != nil && repair != nil {
		return fmt.Errorf("%w: %w", err, *repair)
	}
	return err
}

// current returns the last lease on the connection in use.
func (h *heartbeat) current() lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// recordIfCurrent records a heartbeat write, sent at a time, that Redis accepted on the
// connection of at. Errors: errReplaced when another connection is in use, errLapsed
// when the previous write is too long ago.
func (h *heartbeat) recordIfCurrent(at lease, sent time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last.check != at.check {
		return errReplaced
	}
	if h.checkTrust() != nil {
		return errLapsed
	}
	h.record(at, sent)
	return nil
}

func (h *heartbeat) record(at lease, sent time.Time) {
	h.last = at
	h.trustedUntil.Store(int64(sent.Sub(h.started) + h.trustFor))
	h.beating.markUp()
}

// write makes a heartbeat write on the connection in use. Without one, a PING opens
// one, and check looks at it.
func (h *heartbeat) write(ctx context.Context) {
	var err error
	if check := h.current().check; check != 0 {
		err = h.advance(check, nil, watermark{})
	} else {
		_, err = h.client.DoContext(ctx, "PING")
	}
	found := errors.Is(err, errReplaced) || errors.Is(err, errLapsed) || errors.Is(err, errOlder) // and a new connection is checked
	if err != nil && !found && h.checkTrust() != nil {
		h.beating.markDown(err)
	}
}

// replayNew removes the sessions that were revoked since the watermark, wherever that
// was: those revoked at a server that talks to another Redis are still here. While the
// database is unavailable the watermark stays as it is: it promises no more than
// before.
func (h *heartbeat) replayNew(ctx context.Context) {
	at := h.current()
	if at.check == 0 {
		return // no connection is in use
	}
	next, err := h.replay(ctx, at.watermark, func(keys []string) error { return h.advance(at.check, keys, watermark{}) })
	if err == nil {
		err = h.advance(at.check, nil, next)
	}
	switch {
	case err == nil:
		h.behind.markUp()
	case !errors.Is(err, errReplaced) && ctx.Err() == nil:
		h.behind.markDown(err)
	}
}

// advance makes a heartbeat write on the connection in use, if that is the one that
// passed this check.
func (h *heartbeat) advance(check int64, keys []string, write watermark) error {
	h.sending.Lock()
	defer h.sending.Unlock()
	at := h.current()
	if at.check != check {
		return errReplaced
	}
	conn := h.client.Pool().Get()
	defer conn.Close()
	sent := time.Now()
	next, err := h.renew(conn, at, keys, write)
	if err == nil {
		err = h.recordIfCurrent(next, sent)
	}
	if errors.Is(err, errOlder) || errors.Is(err, errLapsed) || isReply(err, "BEHIND") {
		h.invalidate(at, err)
	}
	return err
}

// invalidate stops trusting what is read on the connection of a lease, if that is in
// use, and has a new connection checked.
func (h *heartbeat) invalidate(at lease, cause error) {
	h.mu.Lock()
	inUse := h.last.check == at.check
	if inUse {
		h.last = lease{}
		h.trustedUntil.Store(0)
	}
	h.mu.Unlock()
	if inUse {
		h.log.Warn("older session data detected, checking revocations", "cause", cause, "watermark", at.watermark.ms())
		h.client.Reset(cause)
	}
}

// replay removes the sessions revoked since the watermark found, or all that have not
// expired if it is invalid, and returns the watermark that may be written then.
func (h *heartbeat) replay(ctx context.Context, found watermark, remove func(keys []string) error) (next watermark, err error) {
	clock, err := h.clock.read(ctx, h.endings)
	if err != nil {
		return watermark{}, fmt.Errorf("read database clock: %w", err)
	}
	since, alarm := found.since(clock)
	if alarm != "" {
		h.log.Error(alarm+": replaying every revocation", "watermark", found.ms(), "floor", clock.Floor.UnixMilli())
	}
	err = h.endings.RevokedSince(ctx, since, func(keys []string) error {
		for batch := range slices.Chunk(keys, maxKeysAtOnce) {
			if err := remove(batch); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return watermark{}, fmt.Errorf("replay revocations: %w", err)
	}
	return watermarkOf(clock), nil
}

// check looks at a new connection before it is trusted: it replays the revocations
// since the watermark that is in the data there, and writes a new one.
func (h *heartbeat) check(ctx context.Context, conn redis.Conn) error {
	h.mu.Lock()
	h.checks++
	number := h.checks
	h.last = lease{}
	h.trustedUntil.Store(0)
	h.mu.Unlock()

	defer h.repair.Store(nil)
	if err := h.awaitTurn(ctx, conn); err != nil {
		return fmt.Errorf("wait for a turn: %w", err)
	}
	defer func() { _, _ = conn.Do("DEL", turnKey) }()
	at, err := h.acquire(conn)
	if err != nil {
		return fmt.Errorf("read watermark: %w", err)
	}
	removed, logged := 0, time.Now()
	h.repair.Store(&Repair{})
	next, err := h.replay(ctx, at.watermark, func(keys []string) error {
		if at, err = h.renew(conn, at, keys, watermark{}); err != nil {
			return err
		}
		removed += len(keys)
		h.holdTurn(conn, removed)
		h.repair.Store(&Repair{removed})
		if time.Since(logged) > heartbeatEvery {
			logged = time.Now()
			h.log.Info("checking sessions before use", "reapplied", removed)
		}
		return nil
	})
	if err != nil {
		return err // the caller that asked for the connection reports it
	}
	sent := time.Now()
	if at, err = h.renew(conn, at, nil, next); err != nil {
		return err
	}
	at.check = number
	h.mu.Lock()
	defer h.mu.Unlock()
	h.record(at, sent)
	return nil
}

// Of servers that find the same older data at the same time, one does the work, and the
// others find its watermark. That only saves work: a server that has waited for turnFor
// without a sign of another goes ahead. A sign is a new value under turnKey, so that a
// leftover value there delays no server.
const (
	turnKey  = watermarkKey + ".turn"
	turnFor  = time.Second
	turnTick = 20 * time.Millisecond
)

func (h *heartbeat) awaitTurn(ctx context.Context, conn redis.Conn) error {
	tick := time.Tick(turnTick)
	seen, since := "", time.Now()
	for {
		reply, err := conn.Do("SET", turnKey, h.turn(0), "NX", "PX", turnFor.Milliseconds())
		if isReply(err, "NOAUTH", "NOPERM") {
			return err // for a longer command, Redis does not say that a password is missing
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
		h.repair.Store(&Repair{}) // another server is at work
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
		}
	}
}

// holdTurn shows other servers that this one is at work.
func (h *heartbeat) holdTurn(conn redis.Conn, removed int) {
	_, _ = conn.Do("SET", turnKey, h.turn(removed), "PX", turnFor.Milliseconds())
}

func (h *heartbeat) turn(removed int) string { return h.tokenKey + " " + strconv.Itoa(removed) }
