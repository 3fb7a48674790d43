package attack

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/alexedwards/scs/redisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/gomodule/redigo/redis"

	"holdfast/internal/learn/stock"
	"holdfast/internal/product"
	"holdfast/internal/session/store"
)

// stockLifetime is short, so that keys left by a killed server expire soon.
const stockLifetime = time.Minute

// stockServer serves the typical set-up on the Redis of this server, with separate
// keys.
type stockServer struct {
	url    string
	server *http.Server
	pool   *redis.Pool
	keys   *knownKeys
	dial   func(context.Context, ...redis.DialOption) (redis.Conn, error)
}

// knownKeys is the store of scs, and the keys that were written to it.
type knownKeys struct {
	scs.Store
	prefix string

	mu    sync.Mutex
	known map[string]bool
}

// Commit implements [scs.Store].
func (k *knownKeys) Commit(token string, b []byte, expiry time.Time) error {
	k.mu.Lock()
	k.known[k.prefix+token] = true
	k.mu.Unlock()
	return k.Store.Commit(token, b, expiry)
}

// errNoRedis means that sessions are not stored in Redis.
var errNoRedis = errors.New("sessions are not stored in Redis")

// startStock serves the typical set-up on a free port of the loopback interface.
// Errors: errNoRedis.
func startStock(ctx context.Context, opened *store.Opened, password string) (*stockServer, error) {
	if opened.Dial == nil {
		return nil, errNoRedis
	}
	s := &stockServer{dial: opened.Dial}
	s.pool = &redis.Pool{ // of the size in redisstore's manual
		MaxIdle: 10,
		Dial:    func() (redis.Conn, error) { return s.dial(context.Background()) },
	}
	prefix := product.Slug + ":lab:" + rand.Text() + ":"
	s.keys = &knownKeys{Store: redisstore.NewWithPrefix(s.pool, prefix), prefix: prefix, known: map[string]bool{}}
	var err error
	s.server, s.url, err = stock.Serve(ctx, stock.New(stock.Options{
		Store: s.keys, Lifetime: stockLifetime, Password: password, SlowPath: SlowPath, Slow: Wait,
	}))
	return s, err
}

// Wait waits the number of milliseconds in text, at most MaxSlow. It returns an error
// if ctx ends first.
func Wait(ctx context.Context, text string) error {
	wanted, err := strconv.Atoi(text)
	if err != nil || wanted < 0 {
		wanted = 0
	}
	return pause(ctx, min(time.Duration(wanted)*time.Millisecond, MaxSlow))
}

// clear stops the typical set-up and deletes its keys.
func (r *Runner) clear(ctx context.Context, s *stockServer, t *target) {
	ctx, cancel := r.cleaning(ctx, 1)
	defer cancel()
	t.visitor.Close()
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.server.Close())
	}
	if err = errors.Join(err, s.forget(ctx), s.pool.Close()); err != nil {
		r.Log.WarnContext(ctx, "demonstration keys not deleted; they expire within a minute", "cause", err)
	}
}

func (s *stockServer) forget(ctx context.Context) error {
	const limit = 2 * time.Second
	conn, err := s.dial(ctx, redis.DialConnectTimeout(limit), redis.DialReadTimeout(limit), redis.DialWriteTimeout(limit))
	if err != nil {
		return err
	}
	defer conn.Close()
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	for key := range s.keys.known {
		if _, err := redis.DoContext(conn, ctx, "DEL", key); err != nil {
			return err
		}
	}
	return nil
}
