package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/session/store"
)

func TestMain(m *testing.M) { testservice.Main(m) }

// place is where a store can be opened repeatedly, one after the other, with the same
// content.
type place struct {
	t     *testing.T
	cfg   store.Config
	log   testkit.Log
	redis *testservice.RedisServer // nil for other stores
}

// belongs is this suite's rule: a value begins with its key.
func belongs(key string, value []byte) bool {
	return bytes.HasPrefix(value, []byte(key+"=")) || bytes.HasPrefix(value, []byte("free"))
}

func newPlace(t *testing.T) *place {
	p := &place{t: t}
	p.cfg = store.Config{
		Connect: testkit.Patience, Timeout: testkit.Patience, DatabaseTimeout: testkit.Patience, DataDir: t.TempDir(),
		RevocationLog: testkit.OpenDatabase(t, testkit.SQLite(t)).Devices(), Belongs: belongs, Log: p.log.Logger(),
	}
	return p
}

func onRedis(t *testing.T) *place { return onServer(t, testservice.Redis(t)) }

// onPrivateRedis is for tests that count the connections of a server.
func onPrivateRedis(t *testing.T) *place { return onServer(t, testservice.PrivateRedis(t)) }

func onServer(t *testing.T, server *testservice.RedisServer) *place {
	p := newPlace(t)
	p.redis = server
	p.cfg.Kind, p.cfg.RedisURL = store.KindRedis, server.URL
	return p
}

func onKind(kind string) func(t *testing.T) *place {
	return func(t *testing.T) *place {
		p := newPlace(t)
		p.cfg.Kind = kind
		return p
	}
}

// places are all stores.
var places = map[string]func(t *testing.T) *place{
	"Redis":          onRedis,
	"embedded Redis": onKind(store.KindRedis), "memory": onKind(store.KindMemory), "file": onKind(store.KindFile),
	"SQLite": func(t *testing.T) *place {
		p := newPlace(t)
		p.cfg.Kind, p.cfg.SQLite = store.KindDatabase, testkit.OpenDatabase(t, testkit.SQLite(t)).SQL()
		return p
	},
	"PostgreSQL": func(t *testing.T) *place {
		p := newPlace(t)
		p.cfg.Kind, p.cfg.Postgres = store.KindDatabase, testkit.OpenDatabase(t, testkit.Postgres(t)).Pool()
		return p
	},
}

// everywhere runs a test on all stores, in parallel with other tests.
func everywhere(t *testing.T, test func(t *testing.T, p *place)) {
	t.Parallel()
	for name, at := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, at(t))
		})
	}
}

func (p *place) open() *store.Opened {
	p.t.Helper()
	opened, err := store.Open(context.Background(), p.cfg)
	require.NoError(p.t, err)
	p.t.Cleanup(func() { _ = opened.Close() })
	return opened
}

// do sends a command to Redis, bypassing the store.
func (p *place) do(command string, args ...any) {
	p.t.Helper()
	_, err := p.redis.Do(command, args...)
	require.NoError(p.t, err)
}

// suite is a store with checks of what its calls return.
type suite struct {
	t   *testing.T
	ctx context.Context
	store.Store
}

func (s suite) has(key, want string) {
	s.t.Helper()
	value, err := s.Get(s.ctx, key)
	if err != nil || string(value) != want || (value == nil) != (want == "") {
		s.t.Errorf("%s has %q, %v; want %q", key, value, err, want)
	}
}

// swap makes a conditional write; "" means no value.
func (s suite) swap(key, old, new string, want error) {
	s.t.Helper()
	if err := s.CompareAndSwap(s.ctx, key, value(old), value(new), time.Hour); !errors.Is(err, want) {
		s.t.Errorf("%s from %q to %q: %v; want %v", key, old, new, err, want)
	}
}

func value(text string) []byte {
	if text == "" {
		return nil
	}
	return []byte(text)
}

func (s suite) must(err error) {
	s.t.Helper()
	require.NoError(s.t, err)
}

func TestAValueIsReplacedOnlyAsItIsKnown(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s := suite{t, t.Context(), p.open()}
		s.must(s.Ping(s.ctx))
		s.has("a", "")
		s.swap("a", "a=0", "a=1", store.ErrConflict) // nothing there
		s.swap("a", "a=0", "", store.ErrConflict)
		s.has("a", "")
		s.swap("a", "", "a=1", nil)
		s.has("a", "a=1")
		s.swap("a", "", "a=2", store.ErrConflict) // something there
		s.swap("a", "a=0", "a=2", store.ErrConflict)
		s.swap("a", "a=0", "", store.ErrConflict)
		s.swap("a", "a=1 ", "a=2", store.ErrConflict)
		s.has("a", "a=1")
		s.swap("a", "a=1", "a=2", nil)
		s.has("a", "a=2")
		s.swap("b", "", "b=\x00\xff\r\n", nil)
		s.has("b", "b=\x00\xff\r\n")
		s.swap("a", "a=2", "", nil)
		s.has("a", "")
		s.has("b", "b=\x00\xff\r\n")
		s.swap("a", "", "a=3", nil) // again
		s.has("a", "a=3")
	})
}

func TestManyAreReadAndRemoved(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s := suite{t, t.Context(), p.open()}
		const many = 2100 // more than one command takes
		keys := make([]string, many)
		for i := range keys {
			keys[i] = fmt.Sprintf("%043d", i)
		}
		stored := keys[:20]
		for _, key := range stored {
			s.swap(key, "", key+"=1", nil)
		}
		values, err := s.GetMany(s.ctx, []string{stored[1], "none", stored[0]})
		if err != nil || len(values) != 3 || string(values[0]) != stored[1]+"=1" || values[1] != nil || string(values[2]) != stored[0]+"=1" {
			t.Errorf("read %q, %v", values, err)
		}
		if values, err := s.GetMany(s.ctx, nil); err != nil || len(values) != 0 {
			t.Errorf("nothing is %q, %v", values, err)
		}
		s.must(s.Delete(s.ctx))
		s.must(s.Delete(s.ctx, stored[0]))
		s.must(s.Delete(s.ctx, stored[0])) // again
		s.has(stored[0], "")
		s.has(stored[1], stored[1]+"=1")
		s.must(s.Delete(s.ctx, keys...))
		for _, key := range stored {
			s.has(key, "")
		}
		for _, key := range stored {
			s.swap(key, "", key+"=2", nil)
		}
		if n, err := s.DeleteAll(s.ctx); n != len(stored) || err != nil {
			t.Errorf("removed %d, %v", n, err)
		}
		if n, err := s.DeleteAll(s.ctx); n != 0 || err != nil {
			t.Errorf("removed again: %d, %v", n, err)
		}
		for _, key := range stored {
			s.has(key, "")
		}
	})
}

func TestAValueGoesWhenItsTimeHasCome(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s := suite{t, t.Context(), p.open()}
		const short = 300 * time.Millisecond
		for _, key := range []string{"gone", "again"} {
			s.must(s.CompareAndSwap(s.ctx, key, nil, []byte(key+"=1"), short))
		}
		testkit.Eventually(t, testkit.Patience, "replace a value before its time has come", func() error {
			if err := s.CompareAndSwap(s.ctx, "longer", nil, []byte("longer=1"), short); err != nil {
				return err
			}
			return s.CompareAndSwap(s.ctx, "longer", []byte("longer=1"), []byte("longer=2"), time.Hour)
		})
		testkit.Eventually(t, testkit.Patience, "expire", func() error {
			values, err := s.GetMany(s.ctx, []string{"gone", "again"})
			if err == nil && (values[0] != nil || values[1] != nil) {
				err = fmt.Errorf("there are %q", values)
			}
			return err
		})
		s.swap("gone", "gone=1", "gone=2", store.ErrConflict)
		s.swap("gone", "gone=1", "", store.ErrConflict)
		s.has("gone", "")
		s.swap("again", "", "again=2", nil)
		s.has("again", "again=2")
		s.has("longer", "longer=2")
	})
}

func TestOfParallelWritesExactlyOneWins(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		opened := []*store.Opened{p.open()}
		if p.redis != nil || p.cfg.Kind == store.KindDatabase { // those that several servers share
			opened = append(opened, p.open())
		}
		s := suite{t, t.Context(), opened[0]}
		old := ""
		for round := range 10 {
			var won, lost atomic.Int64
			var winner atomic.Pointer[string]
			var group sync.WaitGroup
			for i := range 20 {
				group.Go(func() {
					mine := fmt.Sprintf("a=%d/%d", round, i)
					err := opened[i%len(opened)].CompareAndSwap(s.ctx, "a", value(old), []byte(mine), time.Hour)
					switch {
					case err == nil:
						won.Add(1)
						winner.Store(&mine)
					case errors.Is(err, store.ErrConflict):
						lost.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			group.Wait()
			if won.Load() != 1 || lost.Load() != 19 {
				t.Fatalf("round %d: %d won, %d lost", round, won.Load(), lost.Load())
			}
			old = *winner.Load()
			s.has("a", old)
		}
	})
}

func TestWhatIsStoredOutlivesTheStore(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		first := p.open()
		suite{t, t.Context(), first}.swap("a", "", "a=1", nil)
		for range 2 { // the second Close does nothing
			require.NoError(t, first.Close())
		}
		want := "a=1"
		if p.cfg.Kind == store.KindMemory {
			want = ""
		}
		suite{t, t.Context(), p.open()}.has("a", want)
	})
}

// TestAWriteIsRecognisedWhenItIsMadeAgain cuts the connection after Redis has executed
// a write and before its reply arrives.
func TestAWriteIsRecognisedWhenItIsMadeAgain(t *testing.T) {
	t.Parallel()
	p := onRedis(t)
	proxy := newProxy(t, p.redis.Addr)
	p.cfg.RedisURL = strings.Replace(p.redis.URL, p.redis.Addr, proxy.addr, 1)
	s := suite{t, t.Context(), p.open()}
	s.swap("a", "", "a=0", nil)
	for i, write := range [][2]string{{"a=0", "a=1"}, {"a=1", "a=2"}} {
		proxy.cutAt.Store(&write[1])
		s.swap("a", write[0], write[1], nil)
		if n := proxy.cuts.Load(); n != int64(i+1) {
			t.Fatalf("%d connections were cut", n)
		}
		s.has("a", write[1])
	}
	other := "a=other"
	p.do("SET", store.Prefix+"a", other)
	mine := "a=3"
	proxy.cutAt.Store(&mine)
	s.swap("a", "a=2", mine, store.ErrConflict)
	s.has("a", other)
}

// proxy passes bytes between clients and Redis. When a connection has sent the bytes
// cutAt to Redis, proxy cuts it once Redis has replied, and drops the reply.
type proxy struct {
	addr  string
	cutAt atomic.Pointer[string]
	cuts  atomic.Int64
}

func newProxy(t *testing.T, to string) *proxy {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{addr: listener.Addr().String()}
	var group sync.WaitGroup
	t.Cleanup(func() { listener.Close(); group.Wait() })
	group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			var cut atomic.Bool
			group.Go(func() {
				defer server.Close()
				buffer := make([]byte, 64<<10)
				for {
					n, err := client.Read(buffer)
					if at := p.cutAt.Load(); at != nil && bytes.Contains(buffer[:n], []byte(*at)) && p.cutAt.CompareAndSwap(at, nil) {
						cut.Store(true)
					}
					if _, failed := server.Write(buffer[:n]); err != nil || failed != nil {
						return
					}
				}
			})
			group.Go(func() {
				defer client.Close()
				buffer := make([]byte, 64<<10)
				for {
					n, err := server.Read(buffer)
					if err != nil {
						return
					}
					if cut.Load() {
						p.cuts.Add(1)
						return
					}
					if _, err := client.Write(buffer[:n]); err != nil {
						return
					}
				}
			})
		}
	})
	return p
}

func TestAnotherTypeUnderAKeyIsSaid(t *testing.T) {
	t.Parallel()
	p := onRedis(t)
	s := suite{t, t.Context(), p.open()}
	p.do("LPUSH", store.Prefix+"a", "x")
	if _, err := s.Get(s.ctx, "a"); !errors.Is(err, store.ErrWrongType) {
		t.Errorf("read a list: %v", err)
	}
	s.must(s.Delete(s.ctx, "a"))
	s.swap("a", "", "a=1", nil)
}

// TestTheValueOfAnotherKeyIsShownToNobody covers a value that is stored under the wrong
// key, or replies that arrive in the wrong order.
func TestTheValueOfAnotherKeyIsShownToNobody(t *testing.T) {
	const alarm = "ALERT"
	for name, read := range map[string]func(s suite) ([]byte, error){
		"one": func(s suite) ([]byte, error) { return s.Get(s.ctx, "a") },
		"many": func(s suite) ([]byte, error) {
			values, err := s.GetMany(s.ctx, []string{"b", "a"})
			return bytes.Join(values, nil), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := onPrivateRedis(t)
			s := suite{t, t.Context(), p.open()}
			s.swap("a", "", "a=1", nil)
			s.swap("b", "", "b=1", nil)
			if p.log.Has(alarm) {
				t.Fatal("an alarm for nothing")
			}
			before := connections(t, p.redis)
			p.do("SET", store.Prefix+"a", "b=1")
			if value, err := read(s); !errors.Is(err, store.ErrMisdelivered) || len(value) > 0 {
				t.Errorf("read %q, %v", value, err)
			}
			if !p.log.Has("level=ERROR") || !p.log.Has(alarm) {
				t.Error("there is no alarm in the log")
			}
			s.has("b", "b=1") // on a new connection
			if after := connections(t, p.redis); after < before+3 {
				t.Errorf("the connection is still in use: %d connections, then %d", before, after)
			}
		})
	}
}

// connections returns how many connections Redis has accepted so far, including the one
// that asks.
func connections(t *testing.T, s *testservice.RedisServer) int {
	t.Helper()
	info, err := redis.String(s.Do("INFO", "stats"))
	require.NoError(t, err)
	var n int
	if _, err := fmt.Sscanf(info, "# Stats\r\ntotal_connections_received:%d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestAStoreThatIsNotThereIsSaid covers an unknown kind, a missing database, and an
// address where nothing listens.
func TestAStoreThatIsNotThereIsSaid(t *testing.T) {
	for name, change := range map[string]func(*store.Config){
		"no such store": func(cfg *store.Config) { cfg.Kind = "cloud" },
		"no database":   func(cfg *store.Config) { cfg.Kind = store.KindDatabase },
		"nobody listens": func(cfg *store.Config) {
			cfg.Kind, cfg.RedisURL = store.KindRedis, fmt.Sprintf("redis://:secret@127.0.0.1:%d", testservice.FreePort(t))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			change(&p.cfg)
			opened, err := store.Open(t.Context(), p.cfg)
			if err == nil {
				t.Fatal(opened.Close())
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the password is in %q", err)
			}
		})
	}
}

// TestAStoreNamesItsSessionsAndKeepsAPosition checks the keys and the database position
// of a store. A store in the database returns no keys: a database that has lost the
// devices has lost the sessions too.
func TestAStoreNamesItsSessionsAndKeepsAPosition(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		opened := p.open()
		s := suite{t, t.Context(), opened}
		want := []string{strings.Repeat("a", 43), strings.Repeat("b", 43)}
		for _, key := range want {
			require.NoError(t, s.CompareAndSwap(s.ctx, key, nil, []byte(key+"=1"), time.Minute))
		}
		require.NoError(t, opened.RecordDatabase(s.ctx, "1 2 3"))
		if p.cfg.Kind == store.KindDatabase {
			want = nil
		}
		var keys []string
		err := opened.Keys(s.ctx, func(some []string) error { keys = append(keys, some...); return nil })
		if slices.Sort(keys); err != nil || !slices.Equal(keys, want) {
			t.Errorf("the sessions are %q, %v; want %q", keys, err, want)
		}
		if want != nil {
			failed := errors.New("no more")
			if err := opened.Keys(s.ctx, func([]string) error { return failed }); !errors.Is(err, failed) {
				t.Errorf("after an error: %v", err)
			}
		}
		_, err = s.DeleteAll(s.ctx)
		require.NoError(t, err)
		if position, err := opened.Database(s.ctx); position != "1 2 3" || err != nil {
			t.Errorf("the position is %q, %v", position, err)
		}
	})
}
