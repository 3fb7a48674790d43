package testservice_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/jackc/pgx/v5"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
)

func TestRedisStopsAndStartsOnTheSamePortWithItsData(t *testing.T) {
	s := testservice.PrivateRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	addr := s.Addr
	do(t, s, "SET", "kelp", "rock")
	for _, stop := range []func(){s.Stop, s.Kill} {
		stop()
		if _, err := s.Do("PING"); err == nil {
			t.Fatal("a stopped server answers")
		}
		s.Start()
		if s.Addr != addr {
			t.Fatalf("port changed from %s to %s", addr, s.Addr)
		}
		if got, err := redis.String(s.Do("GET", "kelp")); err != nil || got != "rock" {
			t.Fatalf("after a restart GET gives %q, %v", got, err)
		}
	}
}

func TestRedisKeepsNothingUnlessAskedTo(t *testing.T) {
	s := testservice.PrivateRedis(t)
	do(t, s, "SET", "kelp", "rock")
	s.Stop()
	s.Start()
	if _, err := redis.String(s.Do("GET", "kelp")); !errors.Is(err, redis.ErrNil) {
		t.Fatalf("GET after a restart without persistence: %v", err)
	}
}

func TestRedisPausedAcceptsButDoesNotAnswer(t *testing.T) {
	s := testservice.PrivateRedis(t)
	s.Pause()
	conn, err := redis.Dial("tcp", s.Addr, redis.DialReadTimeout(200*time.Millisecond))
	if err != nil {
		t.Fatalf("dial a paused server: %v", err)
	}
	defer conn.Close()
	var timeout net.Error
	if _, err := conn.Do("PING"); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("a paused server: %v, want a timeout", err)
	}
	s.Resume()
	do(t, s, "PING")
	s.Pause() // the end of the test must cope with a paused server
}

func TestRedisWithAPasswordStarts(t *testing.T) {
	s := testservice.PrivateRedis(t, "--requirepass", "secret")
	if _, err := s.Do("PING"); err == nil {
		t.Fatal("answers without the password")
	}
}

func TestPostgresGivesEachCallAnEmptyDatabase(t *testing.T) {
	a, b := testservice.Postgres(t), testservice.Postgres(t)
	if a.URL == b.URL {
		t.Fatalf("both are %s", a.URL)
	}
	require.NoError(t, execute(a.URL, "CREATE TABLE kelp (rock int)"))
	if err := execute(b.URL, "CREATE TABLE kelp (rock int)"); err != nil {
		t.Fatalf("the second database is not empty: %v", err)
	}
}

func TestPostgresStopsAndStartsOnTheSameURL(t *testing.T) {
	s := testservice.PrivatePostgres(t)
	require.NoError(t, execute(s.URL, "CREATE TABLE kelp (rock int)"))
	s.Stop()
	if execute(s.URL, "SELECT 1") == nil {
		t.Fatal("a stopped server answers")
	}
	s.Start()
	require.NoError(t, execute(s.URL, "SELECT rock FROM kelp"))
}

func TestPostgresPausedHangsOpenConnectionsToo(t *testing.T) {
	s := testservice.PrivatePostgres(t)
	conn, err := pgx.Connect(t.Context(), s.URL)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := conn.Exec(ctx, "SELECT 1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a paused server: %v, want a timeout", err)
	}
	s.Resume()
	require.NoError(t, execute(s.URL, "SELECT 1"))
	s.Pause() // the end of the test must cope with a paused server
}

func do(t *testing.T, s *testservice.RedisServer, command string, args ...any) {
	t.Helper()
	if _, err := s.Do(command, args...); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
}

func TestADatabaseOfTheSharedRedisIsEmptyAndItsOwn(t *testing.T) {
	one, other := testservice.Redis(t), testservice.Redis(t)
	if one.Addr != other.Addr || one.URL == other.URL {
		t.Fatalf("%s and %s, want two databases of one server", one.URL, other.URL)
	}
	do(t, one, "SET", "key", "value")
	if n, err := redis.Int(other.Do("DBSIZE")); n != 0 || err != nil {
		t.Fatalf("%d keys of another test, %v", n, err)
	}
}

func TestACopyOfAFilledDatabaseIsAsTheOriginal(t *testing.T) {
	filled := 0
	fill := func(url string) error {
		filled++
		return execute(url, "CREATE TABLE kelp (n int)", "CREATE TABLE wrack (n int)", "INSERT INTO wrack VALUES (1)", "CREATE SEQUENCE place")
	}
	changed := map[string]string{} // what changed each database that must be dropped
	for does, again := range map[string]bool{
		"INSERT INTO kelp VALUES (1)":                                true,
		"ALTER TABLE kelp RENAME TO dulse":                           false,
		"ALTER TABLE kelp ADD m int":                                 false,
		"DROP TABLE kelp":                                            false,
		"CREATE INDEX ON kelp (n)":                                   false,
		"UPDATE wrack SET n = 2":                                     true,
		"SELECT nextval('place')":                                    false,
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'": false,
		"DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET work_mem = 1024'; END $$": false,
	} {
		t.Run(does, func(t *testing.T) {
			url := testservice.FilledPostgres(t, "kelp", fill).URL
			if before, gone := changed[url]; gone {
				t.Errorf("a database is used again after %s", before)
			}
			if !again {
				changed[url] = does
			}
			// The first two fail if another test has left a row.
			require.NoError(t, execute(url, "INSERT INTO kelp SELECT 1 / (n - n) FROM kelp", "INSERT INTO kelp SELECT 1 / (2 - n) FROM wrack", does))
		})
	}
	if filled != 1 {
		t.Errorf("filled %d times", filled)
	}
}

func TestADatabaseInUseIsGivenToNoOtherTest(t *testing.T) {
	fill := func(url string) error { return execute(url, "CREATE TABLE kelp (n int)") }
	var before string
	t.Run("first", func(t *testing.T) { before = testservice.FilledPostgres(t, "wrack", fill).URL })
	one, other := testservice.FilledPostgres(t, "wrack", fill), testservice.FilledPostgres(t, "wrack", fill)
	if one.URL != before || one.URL == other.URL {
		t.Errorf("%s, then %s and %s at the same time", before, one.URL, other.URL)
	}
}

func execute(url string, statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func TestNoPortIsReturnedTwice(t *testing.T) {
	seen := map[int]bool{}
	for range 250 { // more than two blocks
		port := testservice.FreePort(t)
		if seen[port] {
			t.Fatalf("%d is returned twice", port)
		}
		seen[port] = true
	}
}
