package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alexedwards/scs/redisstore"
	"github.com/gomodule/redigo/redis"

	"holdfast/internal/embeddedredis"
	"holdfast/internal/fault"
	"holdfast/internal/pipeline"
	"holdfast/internal/product"
	"holdfast/internal/redisurl"
)

// Prefix is what every key in Redis begins with. The key that callers name
// follows it.
const Prefix = product.SessionKeys

// redisStore is a Redis server that any number of processes share. One script makes
// its compare-and-swap atomic, and what is read there is trusted as long as Redis
// accepts the heartbeat. Single values are read through scs's redisstore, whose pool
// returns handles to the one pipelined connection. Its Commit, an unconditional
// MULTI/SET/PEXPIREAT, is not used.
type redisStore struct {
	name      string // for people
	client    *pipeline.Client
	stored    *redisstore.RedisStore
	heartbeat *heartbeat
	server    *embeddedredis.Server // nil unless this process runs it
	belongs   func(key string, value []byte) bool
	log       *slog.Logger
	// reads and writes log once when Redis stops answering, or stops taking what is to
	// be stored, and once when it does so again, however many requests notice.
	reads, writes condition
}

func (r *redisStore) Get(ctx context.Context, key string) ([]byte, error) {
	began := time.Now()
	value, _, err := r.stored.Find(key)
	if err == nil && value != nil && !r.belongs(key, value) {
		value, err = nil, r.misdelivered()
	}
	if t := traceOf(ctx); t != nil {
		t.ran(r.name, began, value, err, "GET", Prefix+key)
	}
	switch {
	case err == nil:
		if err = r.heartbeat.checkTrust(); err != nil && r.heartbeat.awaitTrust(ctx) {
			return r.Get(ctx, key)
		}
	case isReply(err, "WRONGTYPE"):
		err = fmt.Errorf("%w: %w", ErrWrongType, err)
	}
	return value, err
}

func (r *redisStore) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	values, err := redis.ByteSlices(r.do(ctx, "MGET", prefixed(keys)...))
	if err != nil {
		return nil, err
	}
	for i, value := range values {
		if len(values) != len(keys) || value != nil && !r.belongs(keys[i], value) {
			return nil, r.misdelivered()
		}
	}
	if err = r.heartbeat.checkTrust(); err != nil && r.heartbeat.awaitTrust(ctx) {
		return r.GetMany(ctx, keys)
	}
	return values, err
}

// ofWrite is the error of a write whose command failed with err.
func ofWrite(err error) error {
	if errors.Is(err, pipeline.ErrOutcomeUnknown) {
		return fmt.Errorf("%w: %w", fault.ErrOutcomeUnknown, err)
	}
	return err
}

// Delete stops trusting what was read if Redis refuses to delete a session: it may
// have been revoked elsewhere, for example in the database.
func (r *redisStore) Delete(ctx context.Context, keys ...string) error {
	at := r.heartbeat.current()
	var err error
	for batch := range slices.Chunk(keys, maxKeysAtOnce) {
		if _, err = r.do(ctx, "DEL", prefixed(batch)...); err != nil {
			break
		}
	}
	if isReply(err, "NOREPLICAS", "MISCONF") {
		r.heartbeat.invalidate(at, err)
	}
	return ofWrite(err)
}

func (r *redisStore) DeleteAll(ctx context.Context) (removed int, err error) {
	err = r.keys(ctx, func(keys []string) error {
		n, err := redis.Int(r.client.DoContext(ctx, "DEL", prefixed(keys)...))
		removed += n
		return err
	})
	return removed, err
}

func (r *redisStore) keys(ctx context.Context, yield func(keys []string) error) error {
	for cursor := "0"; ; {
		reply, err := redis.Values(r.client.DoContext(ctx, "SCAN", cursor, "MATCH", Prefix+"*", "COUNT", maxKeysAtOnce))
		var found []string
		if err == nil {
			_, err = redis.Scan(reply, &cursor, &found)
		}
		for i, key := range found {
			found[i] = strings.TrimPrefix(key, Prefix)
		}
		if found = slices.DeleteFunc(found, isCounter); err == nil && len(found) > 0 {
			err = yield(found)
		}
		if err != nil || cursor == "0" {
			return err
		}
	}
}

// redisKey is where Redis keeps a property.
func redisKey(p property) string { return watermarkKey + string(p) }

// Ping fails at once while revocations are reapplied: PING would wait until that is done.
func (r *redisStore) Ping(ctx context.Context) error {
	if repair := r.heartbeat.repair.Load(); repair != nil && repair.Removed > 0 {
		return *repair
	}
	if _, err := r.do(ctx, "PING"); err != nil {
		return r.heartbeat.explain(err)
	}
	return r.heartbeat.checkTrust()
}

// do sends one command.
func (r *redisStore) do(ctx context.Context, cmd string, args ...any) (any, error) {
	began := time.Now()
	reply, err := r.client.Do(cmd, args...)
	traceOf(ctx).ran(r.name, began, nil, err, cmd, args...)
	return reply, err
}

// misdelivered is the error of a value that is not the requested one. The pipelined
// connection matches replies to commands by their order; if that ever failed, no one
// would see another person's record.
func (r *redisStore) misdelivered() error {
	r.log.Error("session store reply rejected: wrong key", "cause", ErrMisdelivered, "store", r.name)
	r.client.Reset(ErrMisdelivered)
	return ErrMisdelivered
}

// swapScript takes the key, the expected value ("" for none), the new one ("" to
// delete), and the TTL in milliseconds. It returns 1 if the new value is in place,
// even if it was already: the script is sent again if a connection was cut after it
// had run.
var swapScript = redis.NewScript(1, swapLua)

const swapLua = `
local stored = redis.call('GET', KEYS[1]) or ''
if stored ~= ARGV[1] then return stored ~= '' and stored == ARGV[2] and 1 or 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1`

// swapInGo is swapScript for the embedded Redis.
var swapInGo = embeddedredis.Script{Source: swapLua, Run: func(tx embeddedredis.Tx, keys []string, args [][]byte) (any, error) {
	stored, err := tx.Get(keys[0])
	if err != nil {
		return nil, err
	}
	expected, next := args[0], args[1]
	if !bytes.Equal(stored, expected) {
		if stored != nil && bytes.Equal(stored, next) {
			return 1, nil
		}
		return 0, nil
	}
	if len(next) == 0 {
		_, err = tx.Delete(keys[0])
		return 1, err
	}
	ttl, err := strconv.ParseInt(string(args[2]), 10, 64)
	if err != nil {
		return nil, err
	}
	return 1, tx.Set(keys[0], next, time.Duration(ttl)*time.Millisecond)
}}

func (r *redisStore) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) error {
	conn := r.client.Pool().Get()
	defer conn.Close()
	began := time.Now()
	done, err := redis.Int(swapScript.Do(conn, Prefix+key, old, new, ttl.Milliseconds()))
	switch {
	case err != nil:
	case done == 0:
		err = ErrConflict
	default:
		r.writes.markUp()
	}
	traceOf(ctx).ran(r.name, began, nil, err, "EVALSHA", swapScript.Hash(), 1, Prefix+key, old, new, ttl.Milliseconds())
	return ofWrite(err)
}

func (r *redisStore) property(ctx context.Context, p property) (string, error) {
	value, err := redis.String(r.client.DoContext(ctx, "GET", redisKey(p)))
	if errors.Is(err, redis.ErrNil) || isReply(err, "WRONGTYPE") {
		return "", nil
	}
	return value, err
}

func (r *redisStore) setProperty(ctx context.Context, p property, value string, options ...any) error {
	_, err := r.client.DoContext(ctx, "SET", append([]any{redisKey(p), value}, options...)...)
	return err
}

func (r *redisStore) Close() error {
	err := r.client.Close() // also ends what the heartbeat waits for
	r.heartbeat.stop()
	if r.server != nil {
		err = errors.Join(err, r.server.Close())
	}
	return err
}

func openRedis(cfg Config) (*Opened, error) {
	at, err := redisurl.Parse(cfg.RedisURL)
	if err != nil {
		return nil, err
	}
	return openAt(cfg, "Redis", at.Dial, Opened{
		Where:    whereRedis(at),
		OneStep:  "one Lua script, which Redis runs without interruption",
		identity: Identity{Kind: KindRedis, Place: placeOfRedis(at)},
	}), nil
}

// openEmbedded starts a Redis in this process and uses it like any other. A command
// uses the one of a running server, through its socket.
func openEmbedded(ctx context.Context, cfg Config) (*Opened, error) {
	path, err := inDataDir(cfg, "redis.db")
	if err != nil {
		return nil, err
	}
	is := Opened{
		Where:    "the embedded Redis in " + path,
		OneStep:  "one script, which the embedded Redis runs as one SQLite transaction",
		identity: Identity{Kind: KindEmbedded, Place: placeOfFile("the embedded Redis in", path)},
	}
	if cfg.Accept != nil {
		if conn, err := embeddedredis.DialSocket(ctx, cfg.DataDir); err == nil {
			_ = conn.Close() // it has shown that a server runs
			is.Where += ", through its server"
			return openAt(cfg, "embedded Redis", func(ctx context.Context, options ...redis.DialOption) (redis.Conn, error) {
				return embeddedredis.DialSocket(ctx, cfg.DataDir, options...)
			}, is), nil
		}
	}
	is.Embedded, err = embeddedredis.Start(ctx, embeddedredis.Config{
		Dir: cfg.DataDir, Product: product.Name, Scripts: []embeddedredis.Script{swapInGo, leaseInGo}, Log: cfg.Log, DiskFull: cfg.DiskFull,
	})
	if err != nil {
		return nil, err
	}
	return openAt(cfg, "embedded Redis", is.Embedded.Dial, is), nil
}

// openAt opens the store in the Redis that dial leads to.
func openAt(cfg Config, name string, dial dialFunc, is Opened) *Opened {
	r := &redisStore{
		name: name, heartbeat: newHeartbeat(cfg), server: is.Embedded, belongs: cfg.Belongs, log: cfg.Log,
		reads:  condition{log: cfg.Log, level: slog.LevelError, down: "session store unreachable", up: "session store reachable again"},
		writes: condition{log: cfg.Log, level: slog.LevelError, down: "session store not writable", up: "session store writable again"},
	}
	if is.Embedded != nil {
		r.heartbeat.trustFor = trustEmbeddedFor
	}
	r.client = pipeline.New(pipeline.Options{
		Dial: func(ctx context.Context) (redis.Conn, error) {
			return dial(ctx, redis.DialConnectTimeout(cfg.Connect), redis.DialTLSHandshakeTimeout(cfg.Connect),
				redis.DialReadTimeout(cfg.Timeout), redis.DialWriteTimeout(cfg.Timeout))
		},
		Check: func(ctx context.Context, conn redis.Conn) (err error) {
			if cfg.Connecting != nil {
				traced, done := cfg.Connecting(ctx)
				ctx = traced
				defer func() { done(err) }()
			}
			if err := acceptOn(cfg, is.identity, conn); err != nil {
				return err
			}
			return r.heartbeat.check(ctx, conn)
		},
		ConnectTimeout: cfg.Connect,
		Timeout:        cfg.Timeout,
		Observe:        r.observe,
	})
	r.heartbeat.run(r.client)
	r.stored = redisstore.NewWithPrefix(r.client.Pool(), Prefix)
	is.Store, is.Dial, is.clock = r, dial, r.heartbeat.clock
	return &is
}

type dialFunc func(ctx context.Context, options ...redis.DialOption) (redis.Conn, error)

// maxKeysAtOnce is how many keys one command takes.
const maxKeysAtOnce = 1000

func prefixed(keys []string) []any {
	args := make([]any, len(keys))
	for i, key := range keys {
		args[i] = Prefix + key
	}
	return args
}

// observe gets the outcome of every command.
func (r *redisStore) observe(cmd string, began time.Time, err error) {
	switch {
	case err == nil:
		if r.reads.isDown.Load() {
			r.reads.markUpSince(began)
		}
		if cmd == "SET" { // scripts of the heartbeat are taken without room, too
			r.writes.markUpSince(began)
		}
	case errors.Is(err, context.Canceled), errors.Is(err, pipeline.ErrClosed), isReply(err, "NOSCRIPT", "WRONGTYPE"):
	case isReply(err, "OOM", "MISCONF", "NOREPLICAS", "READONLY"):
		r.writes.markDownSince(began, err)
	default:
		r.reads.markDownSince(began, err)
	}
}

// condition is one thing that is up or down.
type condition struct {
	log      *slog.Logger
	level    slog.Level // of down
	down, up string
	isDown   atomic.Bool

	mu                 sync.Mutex // held to change isDown
	upSince, downSince time.Time
}

func (c *condition) markDown(cause error) { c.markDownSince(time.Now(), cause) }

// markDownSince ignores a failure of something that began before the last markUp: others
// may have failed together with it, and it is only the last to say so.
func (c *condition) markDownSince(began time.Time, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isDown.Load() && began.After(c.upSince) {
		c.isDown.Store(true)
		c.downSince = time.Now()
		c.log.Log(context.Background(), c.level, c.down, "cause", cause)
	}
}

func (c *condition) markUp() { c.markUpSince(time.Now()) }

// markUpSince ignores a success of something that began before the last markDown: it may
// be the last success before the outage, reported late.
func (c *condition) markUpSince(began time.Time) {
	if !c.isDown.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isDown.Load() && began.After(c.downSince) {
		c.isDown.Store(false)
		c.upSince = time.Now()
		c.log.Info(c.up)
	}
}

// isReply reports whether err is an error reply of Redis with one of these codes.
func isReply(err error, codes ...string) bool {
	reply, _ := errors.AsType[redis.Error](err)
	code, _, _ := strings.Cut(string(reply), " ")
	return slices.Contains(codes, code)
}
