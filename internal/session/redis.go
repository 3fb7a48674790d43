package session

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/alexedwards/scs/redisstore"
	"github.com/gomodule/redigo/redis"

	"holdfast/internal/product"
)

// keyPrefix stands before the hash of the token and is used for nothing else.
const keyPrefix = product.SessionKeys

// redisCells keeps records in Redis. Reading and deleting go through scs's own
// redisstore, given a context it does not know of (see bound). Its Commit,
// an unconditional MULTI/SET/PEXPIREAT, is replaced by swapScript.
type redisCells struct {
	pool    *redis.Pool
	name    string // for people
	socket  string // of the embedded one
	gate    *gate  // before the embedded one; nil: a server that is not ours to stop
	timeout time.Duration
	// generation rises when a connection fails; connections from before are
	// not used again. One failure empties the pool, and no PING is needed to
	// find out which of the idle connections a restarted Redis has forgotten.
	generation  atomic.Int64
	reach       health // whether Redis answers
	room        health // whether it also takes what is to be stored
	revocations revocations
	greeting    chan struct{} // held by whoever looks at run or replays
	run         string        // the run of Redis whose revocations are replayed
	// dial opens a connection outside the pool, for replays; they end with open.
	dial      func(context.Context) (redis.Conn, error)
	dialPlain dialRedis // the same without our time limits
	open      context.Context
	shut      context.CancelFunc
}

// swapScript is the guard's one atomic step. ARGV: what must stand (” for
// nothing), what to store (” to remove), milliseconds to keep it.
// It answers 1, or what stands instead (nil for nothing).
var swapScript = redis.NewScript(1, `
local stands = redis.call('GET', KEYS[1])
if (stands or '') ~= ARGV[1] then return stands end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1`)

func newRedisCells(dial dialRedis, cfg Config) *redisCells {
	limits := cfg.Pool
	r := &redisCells{
		name:        serverName(cfg.RedisURL),
		timeout:     limits.Timeout,
		reach:       health{log: cfg.Log, ill: "sessions cannot be reached", well: "sessions can be reached again"},
		room:        health{log: cfg.Log, ill: "sessions cannot be stored", well: "sessions can be stored again"},
		revocations: revocations{cfg.Ledger, cfg.Now},
		greeting:    make(chan struct{}, 1),
		dialPlain:   dial,
	}
	r.open, r.shut = context.WithCancel(context.Background())
	r.dial = func(ctx context.Context) (redis.Conn, error) {
		return dial(ctx,
			redis.DialConnectTimeout(limits.Connect),
			redis.DialTLSHandshakeTimeout(limits.Timeout),
			redis.DialReadTimeout(limits.Timeout),
			redis.DialWriteTimeout(limits.Timeout),
		)
	}
	r.pool = &redis.Pool{
		MaxActive: limits.Size,
		MaxIdle:   limits.Size,
		Wait:      true,
		DialContext: func(ctx context.Context) (redis.Conn, error) {
			generation := r.generation.Load()
			conn, err := r.dial(ctx)
			if err != nil {
				return nil, err
			}
			// The embedded Redis lives and dies with this process.
			if cfg.RedisURL == "" {
				return &dialled{Conn: conn, generation: generation}, nil
			}
			if err := r.greet(ctx, conn); err != nil {
				return nil, errors.Join(err, conn.Close())
			}
			return &dialled{Conn: conn, generation: generation}, nil
		},
		TestOnBorrowContext: func(_ context.Context, conn redis.Conn, _ time.Time) error {
			if conn.(*dialled).generation != r.generation.Load() {
				return errStale
			}
			return nil
		},
	}
	return r
}

// bound is a view of these cells for one operation. redisstore takes no
// context; it takes a pool, and this one hands out a connection whose every
// command keeps to ctx and goes through do.
func (r *redisCells) bound(ctx context.Context) *redisstore.RedisStore {
	return redisstore.NewWithPrefix(&redis.Pool{
		Dial: func() (redis.Conn, error) { return &boundConn{ctx: ctx, cells: r}, nil },
	}, keyPrefix)
}

// boundConn is the connection redisstore sees.
type boundConn struct {
	redis.Conn
	ctx   context.Context
	cells *redisCells
}

func (b *boundConn) Do(cmd string, args ...any) (any, error) {
	if cmd == "" { // the pool's way of asking for pending replies: there are none
		return nil, nil
	}
	return b.cells.do(b.ctx, cmd, args...)
}

func (b *boundConn) Err() error   { return nil }
func (b *boundConn) Close() error { return nil }

func (r *redisCells) find(ctx context.Context, key string) (stored []byte, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	stored, found, err = r.bound(ctx).Find(key)
	if broken(err) {
		stored, found, err = r.bound(ctx).Find(key)
	}
	if isReply(err, "WRONGTYPE") {
		return nil, false, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return stored, found, err
}

func (r *redisCells) findMany(ctx context.Context, keys []string) ([][]byte, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	args := make([]any, len(keys))
	for i, key := range keys {
		args[i] = keyPrefix + key
	}
	reply, err := r.do(ctx, "MGET", args...)
	if broken(err) {
		reply, err = r.do(ctx, "MGET", args...)
	}
	return redis.ByteSlices(reply, err)
}

func (r *redisCells) swap(ctx context.Context, key string, from, to []byte, ttl time.Duration) (now []byte, swapped bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	now, swapped, err = r.swapOnce(ctx, key, from, to, ttl)
	if !broken(err) {
		return now, swapped, err
	}
	// The connection was cut, perhaps before Redis heard anything and perhaps
	// after it had done it; then what was to stand stands already.
	now, swapped, err = r.swapOnce(ctx, key, from, to, ttl)
	if err == nil && !swapped && same(now, to) {
		return nil, true, nil
	}
	return now, swapped, err
}

func (r *redisCells) swapOnce(ctx context.Context, key string, from, to []byte, ttl time.Duration) (now []byte, swapped bool, err error) {
	reply, err := swapScript.DoContext(ctx, &scriptConn{boundConn{ctx: ctx, cells: r}}, keyPrefix+key, from, to, ttl.Milliseconds())
	if err != nil {
		return nil, false, err
	}
	switch reply := reply.(type) {
	case int64:
		return nil, true, nil
	case []byte:
		return reply, false, nil
	case nil:
		return nil, false, nil
	default:
		return nil, false, fmt.Errorf("swap script answered %T", reply)
	}
}

// scriptConn lets redigo's Script send EVALSHA, and EVAL where Redis does not
// know the script yet, through do.
type scriptConn struct{ boundConn }

// DoContext implements [redis.ConnWithContext].
func (c *scriptConn) DoContext(ctx context.Context, cmd string, args ...any) (any, error) {
	return c.cells.do(ctx, cmd, args...)
}

// ReceiveContext implements [redis.ConnWithContext]; a script sends no
// pipelines.
func (c *scriptConn) ReceiveContext(context.Context) (any, error) {
	return nil, errors.ErrUnsupported
}

func (r *redisCells) remove(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	err := r.bound(ctx).Delete(key)
	if broken(err) {
		err = r.bound(ctx).Delete(key)
	}
	return err
}

func (r *redisCells) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	_, err := r.do(ctx, "PING")
	return err
}

func (r *redisCells) close() error {
	r.shut()
	r.greeting <- struct{}{} // waits for a replay that is under way
	return r.pool.Close()
}
