package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/fault"
	"holdfast/internal/session"
)

// TestAWriteThatFailsSaysWhetherItMayHaveBeenMade checks the errors of writes to a real
// Redis with a fault.
func TestAWriteThatFailsSaysWhetherItMayHaveBeenMade(t *testing.T) {
	for name, c := range map[string]struct {
		begin, end func(w *world)
		unknown    bool
	}{
		"hanging":   {func(w *world) { w.redis.Pause() }, func(w *world) { w.redis.Resume() }, true},
		"stopped":   {func(w *world) { w.redis.Stop() }, func(w *world) { w.redis.Start() }, false},
		"full":      {func(w *world) { w.config("maxmemory", "1") }, func(w *world) { w.config("maxmemory", "0") }, false},
		"read-only": {func(w *world) { w.must("REPLICAOF", "127.0.0.1", "1") }, func(w *world) { w.must("REPLICAOF", "NO", "ONE") }, false},
		"not permitted": {func(w *world) { w.must("ACL", "SETUSER", "default", "-eval", "-evalsha", "-del") },
			func(w *world) { w.must("ACL", "SETUSER", "default", "+@all") }, false},
	} {
		for act, do := range map[string]func(s *session.Session) error{
			"change":  func(s *session.Session) error { return s.Set("colour", "green") },
			"log-out": logOut,
		} {
			if name == "full" && act == "log-out" {
				continue // a full Redis still deletes
			}
			t.Run(name+", "+act, func(t *testing.T) {
				w := parallelOn(t, onDurableRedis)
				// Longer than it takes to send a command after the fault: the heartbeat
				// waits too, and a command that is not sent before its timeout is never
				// sent.
				const timeout = 3 * time.Second
				m := w.open(func(cfg *config) { cfg.store.Connect, cfg.store.Timeout = timeout, timeout })
				b := w.browser(m).logIn(w.ada)
				old := *b
				s, err := b.load()
				if err == nil {
					err = do(s)
				}
				require.NoError(t, err)
				c.begin(w)
				if name == "stopped" { // a command sent before the stop is noticed may arrive
					testkit.Eventually(t, patience, "notice", func() error {
						if m.Ping(context.Background()) == nil {
							return errors.New("it answers")
						}
						return nil
					})
				}
				err = b.finish(s)
				mustFail(t, err, session.ErrUnavailable, act)
				if errors.Is(err, fault.ErrOutcomeUnknown) != c.unknown {
					t.Errorf("%v; of unknown outcome: %t", err, !c.unknown)
				}
				if _, err = b.load(); errors.Is(err, fault.ErrOutcomeUnknown) {
					t.Errorf("a read: %v", err)
				}
				c.end(w)
				// Redis executes the hanging command now, as the error said it might.
				testkit.Steadily(t, patience, "read again", func() error {
					s, err := old.load()
					if err != nil {
						return err
					}
					_, in := s.Member()
					if made := !in || len(s.Values()) > 0; made != c.unknown {
						return fmt.Errorf("it was made: %t", made)
					}
					return nil
				})
			})
		}
	}
}
