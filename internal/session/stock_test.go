package session_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/alexedwards/scs/redisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
)

// TestTheStockStoreBringsThemBack shows why the guard is needed: it runs the same steps
// with unmodified scs and redisstore.
func TestTheStockStoreBringsThemBack(t *testing.T) {
	server := testservice.Redis(t)
	stock := scs.New()
	stock.IdleTimeout = time.Hour
	pool := &redis.Pool{MaxIdle: 16, Dial: func() (redis.Conn, error) { return redis.DialURL(server.URL) }}
	t.Cleanup(func() { _ = pool.Close() })
	stock.Store = redisstore.New(pool)
	begin := func() string {
		ctx := must(stock.Load(context.Background(), ""))
		stock.Put(ctx, "name", "Ada")
		token, _, err := stock.Commit(ctx)
		require.NoError(t, err)
		return token
	}
	load := func(token string) context.Context { return must(stock.Load(context.Background(), token)) }
	alive := func(token string) bool { return stock.GetString(load(token), "name") == "Ada" }

	token := begin()
	inFlight1, logOut := load(token), load(token)
	require.NoError(t, stock.Destroy(logOut))
	if alive(token) {
		t.Fatal("the log-out did nothing")
	}
	if _, _, err := stock.Commit(inFlight1); err != nil {
		t.Fatal(err)
	}
	if !alive(token) {
		t.Error("the stock store has learnt to keep sessions ended: the guard may go")
	}

	revived := 0
	for range rounds() {
		token := begin()
		requests := make([]context.Context, inFlight+1)
		for i := range requests {
			requests[i] = load(token)
		}
		inParallel(len(requests), func(i int) {
			if i == inFlight {
				if err := stock.Destroy(requests[i]); err != nil {
					t.Error(err)
				}
				return
			}
			if _, _, err := stock.Commit(requests[i]); err != nil {
				t.Error(err)
			}
		})
		if alive(token) {
			revived++
		}
	}
	t.Logf("the stock store revived the session in %d of %d rounds", revived, rounds())
	if revived == 0 {
		t.Error("no round revived anything: this race is no race")
	}
}

// TestTheStockStoreLosesThem shows why changes are merged.
func TestTheStockStoreLosesThem(t *testing.T) {
	server := testservice.Redis(t)
	stock := scs.New()
	pool := &redis.Pool{MaxIdle: writers, Dial: func() (redis.Conn, error) { return redis.DialURL(server.URL) }}
	t.Cleanup(func() { _ = pool.Close() })
	stock.Store = redisstore.New(pool)
	token, _, err := stock.Commit(must(stock.Load(context.Background(), "")))
	require.NoError(t, err)
	requests := make([]context.Context, writers)
	for i := range requests {
		requests[i] = must(stock.Load(context.Background(), token))
	}
	inParallel(writers, func(i int) {
		stock.Put(requests[i], fmt.Sprint("key", i), "value")
		if _, _, err := stock.Commit(requests[i]); err != nil {
			t.Error(err)
		}
	})
	kept := len(stock.Keys(must(stock.Load(context.Background(), token))))
	t.Logf("the stock store kept %d of %d values", kept, writers)
	if kept == writers {
		t.Error("the stock store has learnt to lose nothing: the guard may go")
	}
}

func must(ctx context.Context, err error) context.Context {
	if err != nil {
		panic(err)
	}
	return ctx
}
