package session_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
)

// writers is the number of requests that change one session at the same time.
const writers = 50

func TestParallelRequestsLoseNothing(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		managers := []*session.Manager{w.open()}
		if w.redis != nil {
			managers = append(managers, w.open())
		}
		for range 3 {
			b := w.browser(managers[0]).logIn(w.ada)
			b.set("gone", "soon")
			want := map[string]string{}
			for i := range writers {
				want[fmt.Sprint("key", i)] = fmt.Sprint("value", i)
			}
			inParallel(writers+1, func(i int) {
				at := b.at(managers[i%len(managers)])
				err := at.try(func(s *session.Session) error {
					if i == writers {
						s.Remove("gone")
						return nil
					}
					return s.Set(fmt.Sprint("key", i), fmt.Sprint("value", i))
				})
				if err != nil {
					t.Errorf("request %d: %v", i, err)
				}
			})
			if got := b.values(); !maps.Equal(got, want) {
				t.Errorf("%d values are left of %d: %v", len(got), writers, got)
			}
		}
	})
}

// TestWhatConflictsAtEveryTryIsSaid lets another writer win every attempt. The request
// returns an error, and none of its changes are stored.
func TestWhatConflictsAtEveryTryIsSaid(t *testing.T) {
	w := parallelOn(t, onRedis)
	quicker := &quicker{w: w}
	m := w.open(func(cfg *config) {
		cfg.wrap = func(s store.Store) store.Store { quicker.Store = s; return quicker }
	})
	b := w.browser(m).logIn(w.ada)
	quicker.key = key(b.token)
	mustFail(t, b.try(func(s *session.Session) error { return s.Set("mine", "value") }), session.ErrUnavailable, "a commit that is always too late")
	if quicker.writes < 10 {
		t.Errorf("it was tried %d times only", quicker.writes)
	}
	quicker.key = ""
	if b.who() != "Ada" || len(b.values()) != 0 {
		t.Errorf("the session became %q with %v", b.who(), b.values())
	}
}

// quicker is a Store in which another writer changes the record before every
// conditional write.
type quicker struct {
	store.Store
	w      *world
	key    string // in Redis, with its prefix
	writes int
}

func (q *quicker) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) error {
	if q.key != "" {
		q.writes++
		stored, err := redis.String(q.w.redis.Do("GET", q.key))
		if err != nil {
			return err
		}
		q.w.must("SET", q.key, stored+" ", "KEEPTTL")
	}
	return q.Store.CompareAndSwap(ctx, key, old, new, ttl)
}

func TestANoticeIsShownExactlyOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		managers := []*session.Manager{w.open()}
		if w.redis != nil {
			managers = append(managers, w.open())
		}
		b := w.browser(managers[0]).logIn(w.ada)
		for round := range 10 {
			b.do(func(s *session.Session) error { s.Flash("one"); s.Flash("two"); return nil })
			var shown, again atomic.Int64
			inParallel(20, func(i int) {
				at := b.at(managers[i%len(managers)])
				for {
					var texts []string
					err := at.try(func(s *session.Session) error { texts = s.TakeFlashes(); return nil })
					if errors.Is(err, session.ErrFlashTaken) {
						again.Add(1)
						continue // the page is rendered again
					}
					if err != nil {
						t.Error(err)
					}
					shown.Add(int64(len(texts)))
					return
				}
			})
			if shown.Load() != 2 {
				t.Fatalf("round %d: two notices were shown %d times (%d pages made anew)", round, shown.Load(), again.Load())
			}
		}
	})
}

func TestManyValuesAtOnceKeepToTheLimit(t *testing.T) {
	w := parallelOn(t, onRedis)
	b := w.browser(w.open()).logIn(w.ada)
	requests := make([]*session.Session, 2*session.MaxValues)
	for i := range requests {
		s, err := b.load()
		require.NoError(t, err)
		require.NoError(t, s.Set(fmt.Sprint("key", i), "value"))
		requests[i] = s
	}
	stored := 0
	for i, s := range requests {
		err := b.finish(s)
		if err == nil {
			stored++
		} else if !errors.Is(err, session.ErrFull) {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if n := len(b.values()); n != session.MaxValues || n != stored {
		t.Errorf("%d values are stored, %d were accepted, the limit is %d", n, stored, session.MaxValues)
	}
}
