package restartcheck_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gomodule/redigo/redis"
	"github.com/jackc/pgx/v5"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/learn/restartcheck"
)

// TestMain fails the tests if a check has left a directory behind.
func TestMain(m *testing.M) {
	testservice.Main(m, func() error {
		left, err := filepath.Glob(filepath.Join(os.TempDir(), "holdfast-restart-check-*"))
		if len(left) > 0 {
			err = fmt.Errorf("left behind: %q", left)
		}
		return err
	})
}

var build = sync.OnceValues(func() (string, error) {
	return testprocess.Build(os.TempDir(), "holdfast/cmd/holdfast")
})

func options(t *testing.T) restartcheck.Options {
	t.Helper()
	program, err := build()
	require.NoError(t, err)
	return restartcheck.Options{Executable: program, Notes: t.TempDir(), Sessions: campaign.Number(20, 500)}
}

// The tests of cmd/holdfast check every store in make test.
func TestEveryStoreDoesWhatItIsForOnEmbeddedServices(t *testing.T) {
	campaign.Only(t)
	t.Parallel()
	report, err := restartcheck.Run(t.Context(), options(t))
	require.NoError(t, err)
	if err := report.Verdict(); err != nil {
		t.Error(err)
	}
	for _, row := range report.Rows {
		if row.Before != hello || row.Greeting <= 0 && row.Store != restartcheck.JWT {
			t.Errorf("%s: %+v", row.Store, row)
		}
		if (row.Store == "file") != strings.Contains(row.Refusal, "in use by another") {
			t.Errorf("%s: a second server said %q", row.Store, row.Refusal)
		}
		// The embedded Redis is shared through its socket.
		if row.Shared != (row.Store == "redis" || row.Store == "database" || row.Store == restartcheck.JWT) {
			t.Errorf("%s: shared is %t", row.Store, row.Shared)
		}
		// Only a server without a store has nothing to revoke.
		works := row.Store == restartcheck.JWT
		if row.Copies == nil || *row.Copies != (restartcheck.Copies{LogOut: works, Password: works}) {
			t.Errorf("%s: a copied cookie works: %+v", row.Store, row.Copies)
		}
	}
}

func TestEveryStoreDoesWhatItIsForOnRealServices(t *testing.T) {
	campaign.Only(t)
	t.Parallel()
	cache, people := testservice.PrivateRedis(t), testservice.Postgres(t)
	_, err := cache.Do("SET", "holdfast:session:of-someone-else", "kept")
	require.NoError(t, err)
	before := schemas(t, people.URL)
	o := options(t)
	o.RedisURL, o.DatabaseURL, o.Sessions = cache.URL, people.URL, campaign.Number(500, 1200)
	o.Progress = func(store, doing string) {
		if strings.HasPrefix(doing, "time") && store != restartcheck.JWT && len(schemas(t, people.URL)) != len(before)+1 {
			t.Errorf("%s: the servers use no schema of their own", store)
		}
	}
	report, err := restartcheck.Run(t.Context(), o)
	require.NoError(t, err)
	if err := report.Verdict(); err != nil {
		t.Error(err)
	}
	for _, row := range report.Rows {
		if row.Shared != (row.Store == "redis" || row.Store == "database" || row.Store == restartcheck.JWT) {
			t.Errorf("%s: shared is %t, refusal %q", row.Store, row.Shared, row.Refusal)
		}
		// A record is some 120 bytes; what stores add must stay in proportion.
		if row.SessionSize < 100 || row.SessionSize > 2000 {
			t.Errorf("%s: a session takes %d bytes", row.Store, row.SessionSize)
		}
	}
	if keys := keysOf(t, cache); !slices.Equal(keys, []string{"holdfast:session:of-someone-else"}) {
		t.Errorf("%d keys in Redis: %.10q", len(keys), keys)
	}
	if after := schemas(t, people.URL); !slices.Equal(after, before) {
		t.Errorf("schemas were %q and are %q", before, after)
	}
}

// TestACheckUnderWayIsNotSweptAway: another check that starts with the same notes must
// not delete its data.
func TestACheckUnderWayIsNotSweptAway(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Progress = func(_, doing string) {
		notes, err := filepath.Glob(filepath.Join(o.Notes, "*.left.json"))
		if len(notes) != 1 || err != nil {
			t.Errorf("while it was to %s the notes are %q, %v", doing, notes, err)
		}
		if err := restartcheck.Sweep(t.Context(), o.Notes, o.DatabaseURL); err != nil {
			t.Error(err)
		}
	}
	if _, err := restartcheck.Try(t.Context(), o, "file"); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(o.Notes); len(left) > 0 || err != nil {
		t.Errorf("notes left: %v, %v", left, err)
	}
}

func TestARedisThatForgetsIsFoundOut(t *testing.T) {
	t.Parallel()
	for at, want := range map[string]string{"restart": "redis: the session was lost on restart", "kill": "redis: the session was lost on kill -9"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			cache := testservice.Redis(t)
			o := options(t)
			o.RedisURL = cache.URL
			o.Progress = func(_, doing string) {
				if strings.HasPrefix(doing, at) {
					if _, err := cache.Do("FLUSHDB"); err != nil {
						t.Error(err)
					}
				}
			}
			row, err := restartcheck.Try(t.Context(), o, "redis")
			require.NoError(t, err)
			report := asItShouldBe()
			report.Rows[0] = row
			if err := report.Verdict(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("verdict %v", err)
			}
			if row.Before != hello || row.KeptByRestart() == row.KeptByKill() {
				t.Errorf("%+v", row)
			}
		})
	}
}

func TestARunThatIsStoppedLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	cache, people := testservice.Redis(t), testservice.Postgres(t)
	before := schemas(t, people.URL)
	o := options(t)
	o.RedisURL, o.DatabaseURL = cache.URL, people.URL
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Progress = func(_, doing string) {
		if strings.HasPrefix(doing, "time") {
			cancel()
		}
	}
	report, err := restartcheck.Run(ctx, o)
	if !errors.Is(err, context.Canceled) || len(report.Rows) > 0 {
		t.Errorf("rows %v, error %v", report.Rows, err)
	}
	if keys := keysOf(t, cache); len(keys) > 0 {
		t.Errorf("keys in Redis: %q", keys)
	}
	if after := schemas(t, people.URL); !slices.Equal(after, before) {
		t.Errorf("schemas were %q and are %q", before, after)
	}
	testkit.Eventually(t, testkit.Patience, "no connection to PostgreSQL is left", func() error {
		if others := connections(t, people.URL); others > 0 { // its process ends a little later
			return fmt.Errorf("there are %d", others)
		}
		return nil
	})
}

func TestAServerThatDoesNotStartIsShownByItsOwnWords(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.RedisURL = "redis://:sesame@127.0.0.1:1" // where nothing listens
	_, err := restartcheck.Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "test redis") || !strings.Contains(err.Error(), "127.0.0.1:1 does not respond") {
		t.Errorf("error %v", err)
	}
	if err != nil && strings.Contains(err.Error(), "sesame") {
		t.Error("the error shows a password")
	}
}

func TestAProgramThatIsNoServerIsAnError(t *testing.T) {
	o := options(t)
	o.Executable = filepath.Join(t.TempDir(), "nothing")
	if _, err := restartcheck.Run(t.Context(), o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	o.Sessions = 0
	if _, err := restartcheck.Run(t.Context(), o); err == nil {
		t.Error("no sessions are enough to measure")
	}
}

func keysOf(t *testing.T, cache *testservice.RedisServer) []string {
	t.Helper()
	keys, err := redis.Strings(cache.Do("KEYS", "*"))
	require.NoError(t, err)
	return keys
}

func schemas(t *testing.T, at string) []string {
	t.Helper()
	return ask[[]string](t, at, `SELECT array_agg(nspname::text ORDER BY nspname) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'`)
}

func connections(t *testing.T, at string) int {
	t.Helper()
	return ask[int](t, at, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`)
}

func ask[T any](t *testing.T, at, question string) (answer T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), at)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	require.NoError(t, conn.QueryRow(t.Context(), question).Scan(&answer))
	return answer
}

func TestWhatAKilledCheckHasLeftIsSweptFromNotesInAFolderOfAnyName(t *testing.T) {
	t.Parallel()
	notes, left := filepath.Join(t.TempDir(), "[a]?*"), filepath.Join(t.TempDir(), "left")
	for _, folder := range []string{notes, left} {
		require.NoError(t, os.Mkdir(folder, 0o700))
	}
	require.NoError(t, os.WriteFile(filepath.Join(notes, "x.left.json"), fmt.Appendf(nil, `{"folder": %q}`, left), 0o600))
	if err := restartcheck.Sweep(t.Context(), notes, ""); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
	if entries, err := os.ReadDir(notes); err != nil || len(entries) > 0 {
		t.Errorf("notes left: %v, %v", entries, err)
	}
}
