package session_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/embeddedredis"
	"holdfast/internal/session"
)

// Time limits that the store documents, and slack for a busy machine.
const (
	onceASecond = time.Second     // between two heartbeats of a server
	trusted     = 3 * time.Second // after the last heartbeat that Redis accepted
	slack       = patience
)

// guest returns a check that a browser is a guest.
func guest(b *browser) func() error { return greeted(b, "") }

// out returns a check that a browser's session is unavailable: the browser is neither
// greeted nor treated as a guest.
func out(b *browser) func() error {
	return func() error {
		s, err := b.load()
		if errors.Is(err, session.ErrUnavailable) {
			return nil
		}
		if err != nil {
			return err
		}
		member, _ := s.Member()
		return fmt.Errorf("answered as to %q", member.Name)
	}
}

// beats waits until the watermark has changed so often.
func (w *world) beats(n int) {
	w.t.Helper()
	before, _ := w.beat()
	for range n {
		testkit.Eventually(w.t, slack, "another heartbeat", func() error {
			now, _ := w.beat()
			if now == before {
				return errors.New("the watermark is the same")
			}
			before = now
			return nil
		})
	}
}

// beat returns the watermark in Redis and the keys of the servers' fencing tokens.
func (w *world) beat() (beat int64, marks []any) {
	w.t.Helper()
	beat, err := redis.Int64(w.raw("GET", "holdfast:beat"))
	require.NoError(w.t, err)
	keys, err := redis.Strings(w.raw("KEYS", "holdfast:beat:*"))
	require.NoError(w.t, err)
	for _, key := range keys {
		marks = append(marks, key)
	}
	return beat, marks
}

// TestEndingAllEndsTheEnded checks that revoking sessions also revokes one that has
// come back, although its row was marked as ended long ago.
func TestEndingAllEndsTheEnded(t *testing.T) {
	ctx := context.Background()
	for name, act := range map[string]func(w *world, m *session.Manager, other *browser) (int, error){
		"all": func(_ *world, m *session.Manager, _ *browser) (int, error) {
			return m.RevokeAll(ctx, session.RevokedByOperator, func(int) {})
		},
		"one": func(w *world, m *session.Manager, _ *browser) (int, error) {
			return m.RevokeAllOf(ctx, w.ada.ID, session.RevokedByDisable)
		},
		"others": func(_ *world, _ *session.Manager, other *browser) (ended int, err error) {
			err = other.try(func(s *session.Session) error { ended, err = s.RevokeOthers(ctx); return err })
			return ended, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			bothRedis(t, func(t *testing.T, w *world) {
				m := w.open()
				b, other := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.ada)
				old := *b
				stored, err := redis.Bytes(w.raw("GET", key(old.token)))
				require.NoError(t, err)
				b.do(logOut)
				w.age(2 * time.Hour)
				w.beats(2) // a replay that read the revocation earlier has ended
				w.putter()(old.token, stored)
				if old.who() != "Ada" {
					t.Fatal("the session does not live again: nothing is tested")
				}
				want := 1
				if name != "others" {
					want = 2
				}
				if n, err := act(w, m, other); n != want || err != nil {
					t.Errorf("ended %d, %v; want %d", n, err, want)
				}
				if who := old.who(); who != "" || w.isStored(old.token) {
					t.Errorf("still greeted as %q", who)
				}
			})
		})
	}
}

// TestWhatWasLostBeforeALongOutageStaysEnded covers a store that lost its last second
// of writes and was then down for two hours. To simulate the two hours, the test makes
// the current data older.
func TestWhatWasLostBeforeALongOutageStaysEnded(t *testing.T) {
	const away = 2 * time.Hour
	older := func(w *world) {
		t.Helper()
		beat, marks := w.beat()
		for _, command := range []redis.Args{append(redis.Args{"DEL", "none"}, marks...), {"SET", "holdfast:beat", beat - away.Milliseconds()}} {
			w.must(command[0].(string), command[1:]...)
		}
		w.age(away - time.Second)
	}
	for name, with := range map[string]func(*world){"Redis": onRedis, "embedded Redis": onEmbedded, "file": onFile} {
		t.Run(name, func(t *testing.T) {
			w := parallelOn(t, with)
			m := w.open()
			b, kept := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.grace)
			end := func() error {
				return w.cfg.Devices.RevokeByKey(context.Background(), []string{hash(b.token)}, session.RevokedByLogOut)
			}
			switch name {
			case "Redis": // its server applies revocations until it is closed
				require.NoError(t, errors.Join(w.close(m), end()))
				older(w)
				if !w.isStored(b.token) {
					t.Fatal("the session does not stand any more: nothing is tested")
				}
			default: // cannot be reached once it is closed
				require.NoError(t, end())
				if name == "embedded Redis" {
					older(w)
				}
				require.NoError(t, w.close(m))
			}
			m = w.open()
			b.at(m).wantWho("")
			kept.at(m).wantWho("Grace")
		})
	}
}

// TestOlderDataUnderAKeptConnectionIsNoticedWithinASecond replaces the data and keeps
// the connection, so only the data itself shows the change. The older data has the
// watermark that this server knows, a lower one, or a higher one from another server
// that has kept writing heartbeats.
func TestOlderDataUnderAKeptConnectionIsNoticedWithinASecond(t *testing.T) {
	for name, beat := range map[string]func(known int64) int64{
		"same beat":   func(known int64) int64 { return known },
		"lower beat":  func(known int64) int64 { return known - time.Hour.Milliseconds() },
		"higher beat": func(known int64) int64 { return known + 1 },
	} {
		t.Run(name, func(t *testing.T) {
			w := parallelOn(t, onPrivateRedis)
			m := w.open()
			b, kept := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.grace)
			old := *b
			stored, err := redis.Bytes(w.raw("GET", key(old.token)))
			require.NoError(t, err)
			b.do(logOut)
			connections := w.connections()
			known, marks := w.beat()
			conn, err := redis.DialURL(w.redis.URL)
			require.NoError(t, err)
			defer conn.Close()
			for _, command := range []redis.Args{
				{"MULTI"}, append(redis.Args{"DEL"}, marks...), {"SET", "holdfast:beat", beat(known)}, {"SET", key(old.token), stored}, {"EXEC"},
			} {
				_, err := conn.Do(command[0].(string), command[1:]...)
				require.NoError(t, err)
			}
			testkit.Eventually(t, onceASecond+slack, "the ended session", guest(&old))
			testkit.Steadily(t, slack, "another session", greeted(kept, "Grace"))
			if w.isStored(old.token) {
				t.Error("the ended session is still in Redis")
			}
			if w.connections() == connections+1 || w.log.Count("older session data detected, checking revocations") == 0 {
				t.Error("the connection was not replaced")
			}
		})
	}
}

// syncAtOnce makes a master sync a replica immediately. By default it waits 5 seconds
// for more replicas.
var syncAtOnce = []string{"--repl-diskless-sync-delay", "0"}

// onMaster starts a Redis server that others replicate.
func onMaster(w *world) { w.use(testservice.PrivateRedis(w.t, syncAtOnce...)) }

// replicate makes one Redis a replica of another and waits until it has a key.
func replicate(t *testing.T, from, to *testservice.RedisServer, wanted string) {
	t.Helper()
	_, err := to.Do("REPLICAOF", "127.0.0.1", from.Addr[len("127.0.0.1:"):])
	require.NoError(t, err)
	testkit.Eventually(t, patience, "replicate", func() error {
		info, err := redis.String(to.Do("INFO", "replication"))
		if err == nil && !strings.Contains(info, "master_link_status:up") {
			err = errors.New("the link is down")
		}
		n, failed := redis.Int(to.Do("EXISTS", wanted))
		if failed == nil && n != 1 {
			failed = fmt.Errorf("%s is not there yet", wanted)
		}
		return errors.Join(err, failed)
	})
}

func promote(t *testing.T, s *testservice.RedisServer) {
	t.Helper()
	_, err := s.Do("REPLICAOF", "NO", "ONE")
	require.NoError(t, err)
}

// openAt opens a Manager that uses another Redis.
func (w *world) openAt(s *testservice.RedisServer, changes ...func(*config)) *session.Manager {
	w.t.Helper()
	return w.open(append(changes, func(cfg *config) { cfg.store.RedisURL = s.URL })...)
}

// TestAMasterThatWasALaggingReplicaBringsNobodyBack gives a running master the data of
// a lagging replica. The process and its connections stay the same.
func TestAMasterThatWasALaggingReplicaBringsNobodyBack(t *testing.T) {
	w := parallelOn(t, onMaster)
	lagging := testservice.PrivateRedis(t, syncAtOnce...)
	m, idle := w.open(), w.open()
	b, kept := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.grace)
	replicate(t, w.redis, lagging, key(kept.token))
	promote(t, lagging)
	old := *b
	b.do(logOut)
	replicate(t, lagging, w.redis, key(old.token))
	promote(t, w.redis)
	for name, m := range map[string]*session.Manager{"the busy server": m, "the idle server": idle} {
		testkit.Steadily(t, onceASecond+slack, name, guest(old.at(m)))
		testkit.Steadily(t, slack, name, greeted(kept.at(m), "Grace"))
	}
}

// TestAnEndingAtOneMasterCountsAtTheOther runs two masters after a failover, each with
// a server that does not know the other. A session revoked at the old master is also
// revoked at the new one, although it is not replicated there, and vice versa.
func TestAnEndingAtOneMasterCountsAtTheOther(t *testing.T) {
	w := parallelOn(t, onMaster)
	a := w.open()
	first, second, kept := w.browser(a).logIn(w.ada), w.browser(a).logIn(w.ada), w.browser(a).logIn(w.grace)
	promoted := testservice.PrivateRedis(t)
	replicate(t, w.redis, promoted, key(kept.token))
	promote(t, promoted)
	b := w.openAt(promoted)
	atOld, atNew := *first, *second.at(b)
	first.do(logOut)
	second.at(b).do(logOut)
	testkit.Steadily(t, 2*onceASecond+slack, "at the new master", guest(atOld.at(b)))
	testkit.Steadily(t, 2*onceASecond+slack, "at the old master", guest(atNew.at(a)))
	for _, m := range []*session.Manager{a, b} {
		kept.at(m).wantWho("Grace")
	}
}

// TestAMasterThatIsCutOffIsNotBelieved covers a master that has lost its replica and
// refuses writes. No one is logged out, and a session revoked at the new master is
// revoked when the old master is used again.
func TestAMasterThatIsCutOffIsNotBelieved(t *testing.T) {
	w := parallelOn(t, onMaster)
	a := w.open()
	ada, kept := w.browser(a).logIn(w.ada), w.browser(a).logIn(w.grace)
	promoted := testservice.PrivateRedis(t)
	replicate(t, w.redis, promoted, key(kept.token))
	w.config("min-replicas-max-lag", "1")
	w.config("min-replicas-to-write", "1")
	promote(t, promoted)
	old := *ada
	ada.at(w.openAt(promoted)).do(logOut)
	testkit.Eventually(t, patience, "refuse writes", func() error {
		if _, err := w.redis.Do("SET", "written", "1"); err == nil || !strings.HasPrefix(err.Error(), "NOREPLICAS") {
			return fmt.Errorf("answered %v", err)
		}
		return nil
	})
	testkit.Eventually(t, trusted+slack, "the master that is cut off", out(kept))
	for range 20 {
		require.NoError(t, errors.Join(out(kept)(), out(&old)()))
	}
	if err := a.Ping(context.Background()); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
	w.config("min-replicas-to-write", "0")
	testkit.Steadily(t, onceASecond+slack, "with writes taken again", greeted(kept, "Grace"))
	old.wantWho("")
	if w.isStored(old.token) {
		t.Error("the ended session is still in Redis")
	}
}

// TestARedisThatRefusesToRemoveWhatEndedIsNotBelieved revokes a session in the
// database, as a password reset does, while Redis refuses to delete it. Redis is not
// trusted then, even if the last heartbeat has not expired.
func TestARedisThatRefusesToRemoveWhatEndedIsNotBelieved(t *testing.T) {
	w := parallelOn(t, onPrivateRedis)
	a, b := w.open(), w.open()
	ada, kept := w.browser(a).logIn(w.ada), w.browser(a).logIn(w.grace)
	there := ada.at(b)
	ctx, keys := context.Background(), []string{session.Key(ada.token)}
	w.config("min-replicas-to-write", "1")
	require.NoError(t, w.db.Devices().RevokeByKey(ctx, keys, session.RevokedByPassword))
	mustFail(t, a.RevokeKeys(ctx, w.db.Revocations(), keys), session.ErrUnavailable, "revoke")
	if err := out(ada)(); err != nil {
		t.Errorf("where it was refused: %v", err)
	}
	testkit.Eventually(t, onceASecond+slack, "the other server", out(there))
	for range 20 {
		require.NoError(t, errors.Join(out(ada)(), out(there)()))
	}
	w.config("min-replicas-to-write", "0")
	testkit.Steadily(t, onceASecond+slack, "with writes taken again", greeted(kept, "Grace"))
	ada.wantWho("")
}

// TestARedisThatCannotSaveGreets checks that a Redis that cannot save is trusted as
// long as it holds no revoked session.
func TestARedisThatCannotSaveGreets(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Mkdir(folder, 0o755))
	w := on(t, func(w *world) { w.use(testservice.PrivateRedis(t, "--dir", folder, "--save", "3600 1000000")) })
	m := w.open()
	b, kept := w.browser(m).logIn(w.ada), w.browser(m).logIn(w.grace)
	require.NoError(t, os.RemoveAll(folder))
	w.must("BGSAVE")
	testkit.Eventually(t, patience, "fail to save", func() error {
		if _, err := w.redis.Do("SET", "written", "1"); err == nil || !strings.HasPrefix(err.Error(), "MISCONF") {
			return fmt.Errorf("answered %v", err)
		}
		return nil
	})
	mustFail(t, b.try(logOut), session.ErrUnavailable, "log-out")
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for began := time.Now(); time.Since(began) < trusted+onceASecond; <-look.C {
		if kept.who() != "Grace" || b.who() != "Ada" {
			t.Fatal("not greeted")
		}
	}
	w.must("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	testkit.Steadily(t, slack, "on a new connection", greeted(kept, "Grace"))
	require.NoError(t, w.cfg.Devices.RevokeByKey(context.Background(), []string{hash(b.token)}, session.RevokedByLogOut))
	testkit.Eventually(t, trusted+onceASecond+slack, "with an ended session there", out(b))
}

// TestJunkInThePlaceOfTheWatermarkOfTheEmbeddedRedis checks that opening the store with
// an invalid watermark replays every revocation and writes a valid watermark.
func TestJunkInThePlaceOfTheWatermarkOfTheEmbeddedRedis(t *testing.T) {
	ahead := fmt.Sprint(time.Now().Add(time.Hour).UnixMilli())
	for _, junk := range []string{"inf", "nan", "1e300", strings.Repeat("9", 22), "x", "-5", "0", ahead} {
		t.Run(junk, func(t *testing.T) {
			w := on(t, onEmbedded)
			m := w.open()
			b := w.browser(m).logIn(w.ada)
			require.NoError(t, w.close(m)) // its heartbeats would write over the junk
			require.NoError(t, w.cfg.Devices.RevokeByKey(context.Background(), []string{hash(b.token)}, session.RevokedByLogOut))
			w.age(2 * time.Hour) // long before the watermark that was there
			bare, err := embeddedredis.Start(context.Background(), embeddedredis.Config{Dir: w.cfg.store.DataDir, Product: "test", Log: w.log.Logger()})
			require.NoError(t, err)
			_, err = w.raw("SET", "holdfast:beat", junk)
			require.NoError(t, errors.Join(err, bare.Close()))
			b.at(w.open()).wantWho("")
			beat, _ := w.beat()
			if off := time.Since(time.UnixMilli(beat)).Abs(); off > time.Minute {
				t.Errorf("the watermark is %s off", off)
			}
			if w.log.Count("replaying every revocation") != 1 {
				t.Error("the log has no alarm")
			}
		})
	}
}
