package main_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/jackc/pgx/v5"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
)

// query runs statements on the PostgreSQL at url, even if it is read-only.
func query(t testing.TB, url string, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	require.NoError(t, err)
	defer conn.Close(ctx)
	for _, statement := range append([]string{"SET default_transaction_read_only = off"}, statements...) {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// column returns what a query of one column finds in the PostgreSQL at url.
func column[T any](t testing.TB, url, query string) (values []T, err error) {
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), query)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}

// readOnlyPostgres makes a PostgreSQL refuse writes, or accept them again, even on open
// connections.
func readOnlyPostgres(t testing.TB, server *testservice.PostgresServer, on bool) {
	t.Helper()
	to := "off"
	if on {
		to = "on"
	}
	query(t, server.URL, "ALTER SYSTEM SET default_transaction_read_only = "+to, "SELECT pg_reload_conf()")
	testkit.Eventually(t, backWithin, "PostgreSQL read-only "+to, func() error {
		now, err := column[string](t, server.URL, "SHOW default_transaction_read_only")
		if err == nil && !slices.Equal(now, []string{to}) {
			err = fmt.Errorf("it is %q", now)
		}
		return err
	})
}

// thief returns a visitor with a copy of v's cookie.
func (v *visitor) thief() *visitor {
	v.t.Helper()
	thief := v.stranger()
	thief.Take(v.token())
	return thief
}

// redisFolder is a Redis whose data can be saved and restored.
type redisFolder struct {
	*testservice.RedisServer
	t      testing.TB
	args   []string // options that give another Redis the same data
	folder string
	before string
}

func newRedisFolder(t testing.TB) *redisFolder {
	folder := t.TempDir()
	args := []string{"--appendonly", "yes", "--appendfsync", "always", "--dir", folder}
	return &redisFolder{
		RedisServer: testservice.PrivateRedis(t, args...), args: args,
		t: t, folder: filepath.Join(folder, "appendonlydir"), before: filepath.Join(t.TempDir(), "before"),
	}
}

// save copies the data of the Redis, which must have who's session.
func (r *redisFolder) save(who *visitor) {
	r.t.Helper()
	mustHold(r.t, r.RedisServer, who)
	require.NoError(r.t, errors.Join(os.RemoveAll(r.before), os.CopyFS(r.before, os.DirFS(r.folder))))
}

// putBack restores the saved data into the folder of a stopped Redis.
func (r *redisFolder) putBack() {
	r.t.Helper()
	require.NoError(r.t, os.RemoveAll(r.folder))
	if err := os.CopyFS(r.folder, os.DirFS(r.before)); err != nil && !errors.Is(err, fs.ErrExist) {
		r.t.Fatal(err)
	}
}

// restore kills the Redis and starts it again with the saved data.
func (r *redisFolder) restore() {
	r.t.Helper()
	r.Kill()
	r.putBack()
	r.Start()
}

// TestALogOutWithoutThePostgresIsNotUndoneByARestoredRedis logs out while PostgreSQL
// cannot record the revocation, and kills the server immediately. It restores Redis's
// saved data twice: before the next start, and under the running server.
func TestALogOutWithoutThePostgresIsNotUndoneByARestoredRedis(t *testing.T) {
	t.Parallel()
	store, postgres := newRedisFolder(t), testservice.PrivatePostgres(t)
	settings := onServices(store.URL, postgres.URL)
	first, second := start(t, settings), start(t, settings)
	bea := member(t, first)
	for _, fault := range []struct {
		name       string
		begin, end func()
	}{
		{"stopped", postgres.Stop, postgres.Start},
		{"read-only", func() { readOnlyPostgres(t, postgres, true) }, func() { readOnlyPostgres(t, postgres, false) }},
	} {
		ada := member(t, first)
		mustBe(t, greeted, ada.at(second.URL), "at the other server")
		thief := ada.thief()
		store.save(thief)

		fault.begin()
		ada.logOut()
		first.Kill()
		staysAsked(t, answerLimit, "having logged out with PostgreSQL "+fault.name, thief, second)
		fault.end()

		// Only the queue in the first server's folder has the revocation.
		second.Stop()
		store.restore()
		first.Start()
		staysAsked(t, answerLimit, "with Redis restored before the start", thief, first)
		mustLog(t, first, "queued session revocations stored")
		store.restore()
		second.Start()
		staysAsked(t, answerLimit, "with Redis restored again", thief, first, second)
		steady(t, answerLimit, "with Redis restored again", bea, first, second)
		staysAsked(t, answerLimit, "with Redis restored again", thief, first, second)
	}
}

// These tests put older data into Redis after people have logged out.

// Limits that docs/operations.md states, plus time for a busy machine.
var (
	noticedWithin  = within(1*time.Second + 2*time.Second) // older data behind an open connection
	believedWithin = within(3*time.Second + 2*time.Second) // a master that no longer accepts writes
)

// earlier moves all recorded revocations into the past.
func earlier(t testing.TB, database string, by time.Duration) {
	t.Helper()
	query(t, database, fmt.Sprintf(`UPDATE devices SET ended_ms = ended_ms - %d WHERE ended_ms IS NOT NULL`, by.Milliseconds()))
}

// TestWhateverEndsSessionsEndsWhatRestoredDataHolds: by its row, the session in the
// restored data was revoked two hours before that data was last known to be up to date,
// so nothing revokes it again automatically.
func TestWhateverEndsSessionsEndsWhatRestoredDataHolds(t *testing.T) {
	t.Parallel()
	each(t, map[string]func(server *testprocess.Server, ada *visitor) (answer string){
		"end everybody's": func(server *testprocess.Server, _ *visitor) string {
			return server.Command("sessions", "end-all", "--everybody").Output()
		},
		"disable the person": func(server *testprocess.Server, ada *visitor) string {
			return server.Command("users", "disable", "--email", ada.email).Output()
		},
		"end the others": func(_ *testprocess.Server, ada *visitor) string {
			got, err := ada.submit("/devices", "/devices/end-others", nil)
			if err != nil || got.Code != http.StatusSeeOther {
				return fmt.Sprintf("status %d, %v", got.Code, err)
			}
			return ada.get("/devices").text(".notices")
		},
	}, func(t *testing.T, name string, act func(server *testprocess.Server, ada *visitor) string) {
		store, postgres := newRedisFolder(t), testkit.Postgres(t)
		settings := onServices(store.URL, postgres.URL)
		first, second := start(t, settings), start(t, settings)
		ada := member(t, first)
		leaver, other := ada.stranger(), ada.stranger() // with another device, the page offers to end the others
		leaver.logIn()
		other.logIn()
		thief := leaver.thief()
		store.save(thief)
		leaver.logOut()
		earlier(t, postgres.URL, 2*time.Hour)
		store.restore()
		testkit.Steadily(t, answerLimit, "live again: nothing is tested", func() error {
			return all(greeted(thief.at(first.URL)), greeted(thief.at(second.URL)))
		})
		said := act(second, ada)
		want := "Sessions revoked: 3."
		if name == "end the others" {
			want = "You have been logged out on 2 other devices."
		}
		if !strings.Contains(said, want) {
			t.Errorf("it said %q, want %q", said, want)
		}
		for _, v := range []*visitor{thief, other} {
			staysAsked(t, answerLimit, "after that", v, first, second)
		}
		if n, err := redis.Int(store.Do("EXISTS", keyOf(ada))); err != nil || (n == 1) != (name == "end the others") {
			t.Errorf("of her own session %d are there, %v", n, err)
		}
	})
}

// TestWhatRedisLostBeforeALongOutageStaysEnded: Redis lost its last second, in which a
// person logged out, and was down for an hour and a minute. The test ages the data in
// both stores instead of waiting.
func TestWhatRedisLostBeforeALongOutageStaysEnded(t *testing.T) {
	t.Parallel()
	const away = time.Hour + time.Minute
	store, postgres := newRedisFolder(t), testkit.Postgres(t)
	settings := onServices(store.URL, postgres.URL)
	first, second := start(t, settings), start(t, settings)
	ada, bea := member(t, first), member(t, first)
	thief := ada.thief()
	store.save(thief)
	ada.logOut()
	store.Kill()
	mustBe(t, func(v *visitor) error { return refusedBriefly(v.get("/profile")) }, thief, "with Redis away")

	store.putBack()
	earlier(t, postgres.URL, away)
	aside := testservice.PrivateRedis(t, store.args...)
	beat, err := redis.Int64(aside.Do("GET", "holdfast:beat"))
	require.NoError(t, err)
	must(t, aside, "SET", "holdfast:beat", beat-away.Milliseconds())
	mustHold(t, aside, thief)
	aside.Stop()
	store.Start()
	staysAsked(t, answerLimit, "with Redis back", thief, first, second)
	steady(t, answerLimit, "with Redis back", bea, first, second)
	staysAsked(t, answerLimit, "with Redis back", thief, first, second)
}

// follow makes follower a replica of leader and waits until it has all data.
func follow(t testing.TB, leader, follower *testservice.RedisServer) {
	t.Helper()
	host, port, err := net.SplitHostPort(leader.Addr)
	require.NoError(t, err)
	must(t, follower, "REPLICAOF", host, port)
	testkit.Eventually(t, answerLimit, "replicate", func() error { return leads(leader, 1) })
}

// connectionsTo returns the IDs of the servers' connections.
func connectionsTo(t testing.TB, store *testservice.RedisServer) (ids []string) {
	t.Helper()
	clients, err := redis.String(store.Do("CLIENT", "LIST", "TYPE", "normal"))
	require.NoError(t, err)
	for client := range strings.Lines(clients) {
		if !strings.Contains(client, "cmd=client") { // the connection of this query
			ids = append(ids, strings.Fields(client)[0])
		}
	}
	return ids
}

// TestAMasterMadeAReplicaOfAnOlderOneAndBackBringsNobodyBack: its run ID stays the same
// and its connections stay open.
func TestAMasterMadeAReplicaOfAnOlderOneAndBackBringsNobodyBack(t *testing.T) {
	t.Parallel()
	store := testservice.PrivateRedis(t, "--repl-diskless-sync-delay", "0")
	lagging := testservice.PrivateRedis(t, "--repl-diskless-sync-delay", "0")
	settings := strict(onServices(store.URL, testkit.Postgres(t).URL))
	busy, idle := start(t, settings), start(t, settings)
	ada, bea := member(t, busy), member(t, busy)
	thief := ada.thief()
	mustBe(t, greeted, thief.at(idle.URL), "at the idle server")
	follow(t, store, lagging)
	must(t, lagging, "REPLICAOF", "NO", "ONE")
	ada.logOut()
	mustBe(t, asked, thief.at(busy.URL), "having logged out")
	mustHold(t, lagging, thief)
	connections := connectionsTo(t, store)
	follow(t, lagging, store)
	must(t, store, "REPLICAOF", "NO", "ONE")
	if now := connectionsTo(t, store); !slices.Equal(now, connections) {
		t.Logf("connections %q became %q: a server has met the replica, and will look anyway", connections, now)
	}
	for _, server := range []*testprocess.Server{idle, busy} {
		testkit.Eventually(t, noticedWithin, "out again", func() error { return asked(thief.at(server.URL)) })
		steady(t, backWithin, "after that", bea, server)
		staysAsked(t, answerLimit, "after that", thief, server)
	}
}

// TestAMasterWithoutItsReplicaIsNotBelieved: the server connected to it greets for a
// few seconds, then responds with 503 and logs no one out. A person who logs out at the
// promoted replica meanwhile is logged out when the master accepts writes again.
func TestAMasterWithoutItsReplicaIsNotBelieved(t *testing.T) {
	t.Parallel()
	alone := testservice.PrivateRedis(t, "--repl-diskless-sync-delay", "0")
	promoted := testservice.PrivateRedis(t)
	postgres := testkit.Postgres(t)
	there, here := start(t, strict(onServices(alone.URL, postgres.URL))), start(t, strict(onServices(promoted.URL, postgres.URL)))
	ada, bea := member(t, there), member(t, there)
	thief := ada.thief()
	follow(t, alone, promoted)
	must(t, alone, "CONFIG", "SET", "min-replicas-to-write", "1")
	must(t, promoted, "REPLICAOF", "NO", "ONE")
	lonely := time.Now()
	// Its server greets until it notices that the data is different, but not while it
	// checks that data.
	testkit.Eventually(t, believedWithin, "log out at the promoted one", ada.at(here.URL).tryLogOut)

	waits := func(v *visitor) error { return refusedBriefly(v.at(there.URL).get("/profile")) }
	for _, v := range []*visitor{thief, bea} {
		testkit.Eventually(t, believedWithin-time.Since(lonely), "not be trusted any more", func() error { return waits(v) })
	}
	for range 20 {
		mustBe(t, waits, thief, "with the replica gone")
		mustBe(t, waits, bea, "with the replica gone")
	}
	mustBe(t, greeted, bea.at(here.URL), "at the promoted one")
	mustHold(t, alone, thief)
	must(t, alone, "CONFIG", "SET", "min-replicas-to-write", "0")
	steady(t, noticedWithin, "with writes taken again", bea, there)
	staysAsked(t, answerLimit, "with writes taken again", thief, there)
}
