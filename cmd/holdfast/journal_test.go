package main_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
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
		conn, err := pgx.Connect(t.Context(), server.URL)
		if err != nil {
			return err
		}
		defer conn.Close(t.Context())
		var now string
		if err := conn.QueryRow(t.Context(), "SHOW default_transaction_read_only").Scan(&now); err != nil {
			return err
		}
		if now != to {
			return errors.New("not yet")
		}
		return nil
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
