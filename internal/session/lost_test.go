package session_test

import (
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/session"
)

// writers is how many requests change one session at once.
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

// TestWhatOutrunsEveryTryIsSaid: another writer is quicker each time. The
// request is told so, and nothing of it is stored.
func TestWhatOutrunsEveryTryIsSaid(t *testing.T) {
	w := on(t, onRedis)
	b := w.browser(w.open()).logIn(w.ada)
	s, err := b.load()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set("mine", "value"); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	var wrong atomic.Pointer[error]
	go func() {
		defer close(stopped)
		wrong.Store(keepChanging(w.redis.URL, key(b.token), stop))
	}()
	var outrun error
	for deadline := time.Now().Add(patience); outrun == nil && time.Now().Before(deadline); {
		if outrun = b.finish(s); outrun != nil {
			break
		}
		if s, err = b.load(); err != nil {
			t.Fatal(err)
		}
		if err := s.Set("mine", time.Now().String()); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-stopped
	if err := wrong.Load(); err != nil && *err != nil {
		t.Fatal(*err)
	}
	mustFail(t, outrun, session.ErrUnavailable, "a commit that is always too late")
	if b.who() != "Ada" {
		t.Error("the session did not survive it")
	}
}

// keepChanging adds spaces to the end of a record, as fast as Redis can.
func keepChanging(url, key string, stop <-chan struct{}) *error {
	conn, err := redis.DialURL(url)
	if err != nil {
		return &err
	}
	defer conn.Close()
	original, err := redis.String(conn.Do("GET", key))
	if err != nil {
		return &err
	}
	for i := 1; ; i++ {
		select {
		case <-stop:
			_, err := conn.Do("SET", key, original, "KEEPTTL")
			return &err
		default:
		}
		if _, err := conn.Do("SET", key, original+fmt.Sprintf("%*s", i%7, ""), "KEEPTTL"); err != nil {
			return &err
		}
	}
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
					err := at.try(func(s *session.Session) error { texts = s.TakeNotices(); return nil })
					if errors.Is(err, session.ErrNoticeTaken) {
						again.Add(1)
						continue // the page is made anew
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
	w := on(t, onRedis)
	b := w.browser(w.open()).logIn(w.ada)
	requests := make([]*session.Session, 2*session.MaxValues)
	for i := range requests {
		s, err := b.load()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Set(fmt.Sprint("key", i), "value"); err != nil {
			t.Fatal(err)
		}
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
