package embeddedredis_test

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/nalgeon/redka"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/embeddedredis"
)

// TestCommandsSentTogetherAreAnsweredInOrder writes more than a socket buffers before
// it reads anything.
func TestCommandsSentTogetherAreAnsweredInOrder(t *testing.T) {
	const rounds = 200
	conn := dial(t, open(t, t.TempDir()))
	big := strings.Repeat("b", 200)
	for i := range rounds {
		key := fmt.Sprint("key", i)
		conn.Send("SET", key, i, "PX", 60_000)
		conn.Send("STRLEN", key)
		conn.Send("GET")
		conn.Send("MGET", key, "nothing")
		conn.Send("PING", big)
		conn.Send("DEL", key)
		conn.Send("EXISTS", key)
	}
	require.NoError(t, conn.Flush())
	for i := range rounds {
		for _, want := range []string{"OK", fmt.Sprint(len(fmt.Sprint(i))), "ERR wrong number of arguments for 'get' command",
			fmt.Sprintf("[%d <nil>]", i), big, "1", "0"} {
			if got := words(conn.Receive()); got != want {
				t.Fatalf("round %d: %s, want %s", i, got, want)
			}
		}
	}
}

// words returns a reply, or the error instead of one, as text.
func words(answer any, err error) string {
	if err != nil {
		return err.Error()
	}
	switch answer := answer.(type) {
	case []byte:
		return string(answer)
	case []any:
		var all []string
		for _, element := range answer {
			all = append(all, words(element, nil))
		}
		return "[" + strings.Join(all, " ") + "]"
	}
	return fmt.Sprint(answer)
}

func TestManyMegabytesCanBeOnTheirWay(t *testing.T) {
	bothWays(t, func(t *testing.T, s *embeddedredis.Server) {
		conn := dial(t, s)
		value := strings.Repeat("v", 10<<20)
		do(t, conn, "SET", "big", value)
		if got, err := redis.String(conn.Do("GET", "big")); err != nil || got != value {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

func TestWhatIsNoRESPEndsItsConnection(t *testing.T) {
	s := open(t, t.TempDir())
	conn, err := net.Dial("unix", s.Socket())
	require.NoError(t, err)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	_, err = conn.Write([]byte("*1\r\n!4\r\nPING\r\n"))
	require.NoError(t, err)
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != "-ERR Protocol error: expected '$', got '!'\r\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAKeyOfAnotherTypeIsNoString(t *testing.T) {
	dir := t.TempDir()
	db, err := redka.Open(filepath.Join(dir, "redis.db"), &redka.Options{DriverName: "sqlite"})
	require.NoError(t, err)
	_, err = db.Hash().Set("hash", "field", "value")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	conn := dial(t, open(t, dir))
	const wrongType = "WRONGTYPE Operation against a key holding the wrong kind of value"
	for _, c := range []struct {
		command string
		args    []any
		want    string
	}{
		{"TYPE", []any{"hash"}, "hash"},
		{"GET", []any{"hash"}, wrongType},
		{"STRLEN", []any{"hash"}, wrongType},
		{"MGET", []any{"hash"}, "[<nil>]"},
		{"OBJECT", []any{"REFCOUNT", "hash"}, "1"},
		{"SET", []any{"hash", "string", "PX", "60000"}, "OK"},
		{"TYPE", []any{"hash"}, "string"},
		{"GET", []any{"hash"}, "string"},
	} {
		if got := words(conn.Do(c.command, c.args...)); got != c.want {
			t.Errorf("%s %v: %s, want %s", c.command, c.args, got, c.want)
		}
	}
}

// TestAnExpiredKeyIsGoneBeforeItIsSweptAway: Redka removes expired keys only once a
// minute.
func TestAnExpiredKeyIsGoneBeforeItIsSweptAway(t *testing.T) {
	conn := dial(t, open(t, t.TempDir()))
	do(t, conn, "SET", "key", "5", "PX", 1)
	testkit.Eventually(t, patience, "the key has expired", func() error {
		n, err := redis.Int(conn.Do("EXISTS", "key"))
		if n != 0 {
			err = errors.Join(err, errors.New("it is there"))
		}
		return err
	})
	if got := do(t, conn, "SET", "key", "b", "NX"); got != "OK" {
		t.Errorf("SET NX: %v", got)
	}
	if ttl := do(t, conn, "TTL", "key"); ttl != int64(-1) {
		t.Errorf("TTL %v", ttl)
	}
}

// TestWhatCannotBeStoredIsRefusedAsByARedisThatCannotWrite locks the data file, as
// another program would.
func TestWhatCannotBeStoredIsRefusedAsByARedisThatCannotWrite(t *testing.T) {
	dir := t.TempDir()
	conn := dial(t, open(t, dir))
	do(t, conn, "SET", "name", "Ada")
	db, err := sql.Open("sqlite", filepath.Join(dir, "redis.db"))
	require.NoError(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	_, err = db.Exec("BEGIN IMMEDIATE")
	require.NoError(t, err)
	misconf := func(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "MISCONF ") }
	if _, err := conn.Do("SET", "name", "Grace"); !misconf(err) {
		t.Errorf("SET: %v", err)
	}
	// A script reads the data that is left.
	grab := redis.NewScript(1, scripts[1].Source)
	if _, err := grab.Do(conn, "other", "Grace"); !misconf(err) {
		t.Errorf("a script on a missing key: %v", err)
	}
	if _, err := grab.Do(conn, "name", "Grace"); err == nil || !strings.HasPrefix(err.Error(), "BEHIND ") {
		t.Errorf("a script on a present key: %v", err)
	}
	do(t, conn, "MULTI")
	do(t, conn, "SET", "name", "Grace")
	if _, err := conn.Do("EXEC"); !misconf(err) {
		t.Errorf("EXEC: %v", err)
	}
	if name, err := redis.String(conn.Do("GET", "name")); err != nil || name != "Ada" {
		t.Errorf("GET meanwhile: %q, %v", name, err)
	}
	_, err = db.Exec("ROLLBACK")
	require.NoError(t, err)
	do(t, conn, "SET", "name", "Grace")
}
