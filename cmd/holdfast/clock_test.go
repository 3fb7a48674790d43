package main_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
)

// clockedPostgres is a PostgreSQL whose clock steps: it finds a function of the same
// name before its own clock_timestamp.
type clockedPostgres struct {
	t   testing.TB
	URL string
}

func newClockedPostgres(t testing.TB) clockedPostgres {
	t.Helper()
	p := clockedPostgres{t, testkit.Postgres(t).URL}
	query(t, p.URL,
		`CREATE SCHEMA stepped`,
		`CREATE TABLE stepped.ahead (by interval)`,
		`INSERT INTO stepped.ahead VALUES ('0')`,
		`CREATE FUNCTION stepped.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
			'SELECT pg_catalog.clock_timestamp() + by FROM stepped.ahead'`,
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, stepped, pg_catalog', current_database()); END $$`,
	)
	return p
}

// step sets how far the clock is ahead of the right time, or behind if negative.
func (p clockedPostgres) step(ahead time.Duration) {
	p.t.Helper()
	query(p.t, p.URL, fmt.Sprintf(`UPDATE stepped.ahead SET by = '%d milliseconds'`, ahead.Milliseconds()))
}

// watermark returns the time in Redis up to which revoked sessions have been removed
// there.
func watermark(store *testservice.RedisServer) (time.Time, error) {
	ms, err := redis.Int64(store.Do("GET", "holdfast:beat"))
	return time.UnixMilli(ms), err
}

// moves waits until the watermark is within a few seconds of now plus ahead.
func moves(t testing.TB, store *testservice.RedisServer, ahead time.Duration) {
	t.Helper()
	testkit.Eventually(t, answerLimit, "move the watermark", func() error {
		at, err := watermark(store)
		if off := time.Until(at) - ahead; err == nil && (off > 5*time.Second || off < -5*time.Second) {
			err = fmt.Errorf("it is %s off", off)
		}
		return err
	})
}

const (
	replayed  = ": replaying every revocation"
	wentBack  = "ready\nwarning: the database's clock went back\n"
	hourAhead = time.Hour
	behind    = -30 * time.Second
)

// saysReady waits until /readyz responds with status 200 and this body.
func saysReady(t testing.TB, server *testprocess.Server, want string) {
	t.Helper()
	testkit.Eventually(t, answerLimit, "say "+want, func() error {
		got := newVisitor(t, server.URL).get("/readyz")
		if body := string(got.Body); got.Code != http.StatusOK || body != want {
			return fmt.Errorf("status %d, %q", got.Code, body)
		}
		return nil
	})
}

// TestAStepOfTheDatabasesClockBringsNobodyBack copies Redis, logs a person out and
// restores the copy. At every point in between, the clock steps back, or ahead and back
// again.
func TestAStepOfTheDatabasesClockBringsNobodyBack(t *testing.T) {
	t.Parallel()
	type at struct {
		postgres clockedPostgres
		store    *redisFolder
		server   *testprocess.Server
	}
	back := func(now at) { now.postgres.step(behind); saysReady(now.postgres.t, now.server, wentBack) }
	right := func(now at) { now.postgres.step(0) }
	ahead := func(now at) {
		now.postgres.step(hourAhead)
		moves(now.postgres.t, now.store.RedisServer, hourAhead)
	}
	nothing := func(at) {}
	type moments struct {
		beforeCopy, beforeLogOut, beforeRestore func(at)
		restarted, unnoticed                    bool
	}
	all := map[string]moments{
		"back before the copy":                        {back, nothing, nothing, false, false},
		"back before the log-out":                     {nothing, back, nothing, false, false},
		"back before the copy is put back":            {nothing, nothing, back, false, false},
		"back for the log-out":                        {nothing, back, right, false, false},
		"back for the log-out, and servers restarted": {nothing, back, right, true, false},
		"back for the log-out, unnoticed":             {nothing, func(now at) { now.postgres.step(behind) }, right, false, true},
		"ahead, and right before the copy":            {func(now at) { ahead(now); right(now) }, nothing, nothing, false, false},
		"ahead, and right before the log-out":         {ahead, right, nothing, false, false},
		"ahead, and right before it is put back":      {ahead, nothing, right, false, false},
		"ahead from then on":                          {nothing, ahead, nothing, false, true},
		"a watermark from the future": {func(now at) {
			must(now.postgres.t, now.store.RedisServer, "SET", "holdfast:beat", time.Now().Add(time.Hour).UnixMilli())
		}, nothing, nothing, false, false},
	}
	some := map[string]moments{}
	for _, name := range sample(slices.Collect(maps.Keys(all)), 4) {
		some[name] = all[name]
	}
	each(t, some, func(t *testing.T, name string, when moments) {
		now := at{postgres: newClockedPostgres(t), store: newRedisFolder(t)}
		settings := onServices(now.store.URL, now.postgres.URL)
		now.server = start(t, settings)
		servers := []*testprocess.Server{now.server, start(t, settings)}
		ada, bea := member(t, now.server), member(t, now.server)
		thief := ada.thief()
		moves(t, now.store.RedisServer, 0)
		when.beforeCopy(now)
		now.store.save(thief)
		if name == "a watermark from the future" {
			testkit.Eventually(t, answerLimit, "copy it before a server rewrites it", func() error {
				when.beforeCopy(now)
				now.store.save(thief)
				found, err := watermark(now.store.RedisServer)
				if err == nil && time.Until(found) < hourAhead/2 {
					err = errors.New("it was rewritten")
				}
				return err
			})
		}
		when.beforeLogOut(now)
		ada.logOut()
		mustBe(t, asked, thief.at(servers[1].URL), "having logged out")
		when.beforeRestore(now)
		if when.restarted {
			for _, server := range servers {
				server.Stop()
			}
		}
		now.store.restore()
		if when.restarted {
			for _, server := range servers {
				server.Start()
			}
		}
		for _, server := range servers {
			testkit.Steadily(t, answerLimit, "greeted", func() error { return greeted(bea.at(server.URL)) })
			mustBe(t, asked, thief.at(server.URL), "with the copy put back")
		}
		if !when.unnoticed {
			testkit.Eventually(t, answerLimit, "log an alarm", func() error {
				if !strings.Contains(servers[0].Log()+servers[1].Log(), replayed) {
					return errors.New("it is not in the log")
				}
				return nil
			})
		}
		if name != "ahead from then on" {
			testkit.Eventually(t, answerLimit, "rewrite the watermark", func() error {
				found, err := watermark(now.store.RedisServer)
				if err == nil && time.Until(found) > 10*time.Second {
					err = errors.New("it is in the future")
				}
				return err
			})
		}
	})
}

// TestAClockThatWentBackIsAWarningUntilItHasCaughtUp checks that the server stays ready
// throughout.
func TestAClockThatWentBackIsAWarningUntilItHasCaughtUp(t *testing.T) {
	t.Parallel()
	postgres := newClockedPostgres(t)
	server := start(t, onServices(testservice.Redis(t).URL, postgres.URL))
	saysReady(t, server, "ready\n")
	postgres.step(behind)
	saysReady(t, server, wentBack)
	postgres.step(0)
	saysReady(t, server, "ready\n")
	for _, said := range []string{`level=WARN msg="the database's clock went back"`, `msg="the database's clock has caught up"`} {
		mustLogOnce(t, server, said)
	}
}

// TestAClockAheadForgetsNoRevocation: by the database's clock, the revoked session has
// passed its lifetime; by the servers' clocks, it has not.
func TestAClockAheadForgetsNoRevocation(t *testing.T) {
	t.Parallel()
	postgres, store := newClockedPostgres(t), newRedisFolder(t)
	server := start(t, onServices(store.URL, postgres.URL))
	ada, bea := member(t, server), member(t, server)
	thief := ada.thief()
	store.save(thief)
	ada.logOut()
	const years = 3 * 365 * 24 * time.Hour
	postgres.step(years)
	moves(t, store.RedisServer, years)
	store.restore()
	testkit.Steadily(t, answerLimit, "greeted", func() error { return greeted(bea) })
	mustBe(t, asked, thief, "with the copy put back")
}

// TestJunkInThePlaceOfTheWatermarkStopsNoServer checks a running server and one that
// starts. Junk also restores no session.
func TestJunkInThePlaceOfTheWatermarkStopsNoServer(t *testing.T) {
	t.Parallel()
	type junk struct{ command, key, value string }
	all := []junk{
		{"RPUSH", "holdfast:beat", "x"}, {"RPUSH", "holdfast:beat.epoch", "x"}, {"RPUSH", "holdfast:beat.turn", "x"},
		{"SET", "holdfast:beat.epoch", "x"}, {"SET", "holdfast:beat.turn", "x"}, {"SET", "holdfast:beat.turn", ""},
	}
	for _, value := range []string{"inf", "nan", "1e300", strings.Repeat("9", 22), "x", "", "-5", "0", "0x7fffffff", " 1"} {
		all = append(all, junk{"SET", "holdfast:beat", value})
	}
	store, postgres := testservice.PrivateRedis(t), testkit.Postgres(t)
	settings := onServices(store.URL, postgres.URL)
	running := start(t, settings)
	bea := member(t, running)
	for _, j := range sample(all, 5) {
		leaver := bea.stranger()
		leaver.logIn()
		thief := leaver.thief()
		stored, err := redis.Bytes(store.Do("GET", keyOf(thief)))
		require.NoError(t, err)
		leaver.logOut()
		must(t, store, "DEL", j.key)
		must(t, store, j.command, j.key, j.value)
		must(t, store, "SET", keyOf(thief), stored)
		must(t, store, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		for _, server := range []*testprocess.Server{running, start(t, settings)} {
			testkit.Steadily(t, answerLimit, fmt.Sprintf("greeted after %q", j), func() error { return greeted(bea.at(server.URL)) })
			mustBe(t, asked, thief.at(server.URL), fmt.Sprintf("after %q", j))
			saysReady(t, server, "ready\n")
			if server != running {
				server.Stop()
			}
		}
		moves(t, store, 0)
	}
}
