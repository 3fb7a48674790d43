package embeddedredis_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/nalgeon/redka"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/embeddedredis"
)

// withoutSockets starts a server on a system that has no unix sockets.
func withoutSockets(t *testing.T) *embeddedredis.Server {
	t.Helper()
	return withoutSocketsFor(t, syscall.EAFNOSUPPORT, quiet)
}

func withoutSocketsFor(t *testing.T, why syscall.Errno, log *slog.Logger) *embeddedredis.Server {
	t.Helper()
	s, err := embeddedredis.StartWith(context.Background(), embeddedredis.Config{Dir: t.TempDir(), Log: log}, func(network, address string) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Net: network, Err: os.NewSyscallError("socket", why)}
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// bothWays runs a test over a socket and inside the process.
func bothWays(t *testing.T, test func(t *testing.T, s *embeddedredis.Server)) {
	t.Run("socket", func(t *testing.T) { test(t, open(t, t.TempDir())) })
	t.Run("inside the process", func(t *testing.T) { test(t, withoutSockets(t)) })
}

func TestWithoutUnixSocketsTheServerIsReachedInsideTheProcess(t *testing.T) {
	const wsaEAFNoSupport = syscall.Errno(10047)
	for _, why := range []syscall.Errno{syscall.EAFNOSUPPORT, wsaEAFNoSupport} {
		var log bytes.Buffer
		s := withoutSocketsFor(t, why, slog.New(slog.NewTextHandler(&log, nil)))
		if s.Socket() != "" {
			t.Errorf("%v: socket %q", why, s.Socket())
		}
		if !strings.Contains(log.String(), "embedded Redis has no socket") {
			t.Errorf("%v: logged %q", why, log.String())
		}
		conn, other := dial(t, s), dial(t, s)
		do(t, conn, "SET", "name", "Ada")
		if name, err := redis.String(other.Do("GET", "name")); err != nil || name != "Ada" {
			t.Errorf("%v: %q, %v", why, name, err)
		}
		if said, err := redis.String(conn.Do("INFO", "clients")); err != nil || !strings.Contains(said, "connected_clients:2\r\n") {
			t.Errorf("%v: %s, %v", why, said, err)
		}
	}
}

func TestAnotherFailureToListenIsOne(t *testing.T) {
	_, err := embeddedredis.StartWith(context.Background(), config(t.TempDir()), func(string, string) (net.Listener, error) {
		return nil, syscall.EACCES
	})
	if !errors.Is(err, syscall.EACCES) {
		t.Errorf("%v", err)
	}
}

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
			answer, err := conn.Receive()
			got := fmt.Sprint(answer)
			switch answer := answer.(type) {
			case []byte:
				got = string(answer)
			case []any:
				got = fmt.Sprintf("[%s %v]", answer[0], answer[1])
			}
			if err != nil {
				got = err.Error()
			}
			if got != want {
				t.Fatalf("round %d: %s, want %s", i, got, want)
			}
		}
	}
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
	if _, err := conn.Write([]byte("*1\r\n!4\r\nPING\r\n")); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != "-ERR Protocol error: expected '$', got '!'\r\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAPauseHoldsCommandsAndEndsByItself(t *testing.T) {
	bothWays(t, func(t *testing.T, s *embeddedredis.Server) {
		const length = 3 * time.Second
		conn := dial(t, s)
		do(t, conn, "PING")
		begun := time.Now()
		over := s.Pause(length)
		if again := s.Pause(time.Hour); again != over {
			t.Error("a second pause is another one")
		}
		hasty := dial(t, s, redis.DialReadTimeout(50*time.Millisecond))
		if _, err := hasty.Do("PING"); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a client with little time: %v", err)
		}
		do(t, conn, "PING")
		if took := time.Since(begun); took < length {
			t.Errorf("answered after %s, want it to wait %s", took, length)
		}
		<-over
		select {
		case <-s.Pause(0):
		case <-time.After(patience):
			t.Error("no second pause")
		}
	})
}

func TestAPauseLastsFiveSecondsAtMost(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	begun := time.Now()
	<-s.Pause(time.Hour)
	if took := time.Since(begun); took < embeddedredis.MaxPause || took > embeddedredis.MaxPause+patience {
		t.Errorf("paused for %s", took)
	}
}

func TestClosingWaitsForNothing(t *testing.T) {
	bothWays(t, func(t *testing.T, s *embeddedredis.Server) {
		conn, monitor := dial(t, s), dial(t, s)
		do(t, conn, "SET", "name", "Ada")
		do(t, monitor, "MONITOR")
		over := s.Pause(embeddedredis.MaxPause)
		require.NoError(t, s.Close())
		select {
		case <-over:
			t.Error("waited for the end of the pause")
		default:
		}
		if _, err := conn.Do("GET", "name"); err == nil {
			t.Error("a closed server answered")
		}
	})
}

func TestTheDataBelongsToOneProcessAtATimeAndToItsOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	first, err := embeddedredis.Start(context.Background(), config(dir))
	require.NoError(t, err)
	do(t, dial(t, first), "SET", "name", "Ada")
	if runtime.GOOS != "windows" {
		for _, name := range []string{"redis.db", "redis.db-wal", "redis.db-shm", "redis.lock", filepath.Base(first.Socket())} {
			path := filepath.Join(dir, name)
			if name == "redis.sock" {
				path = first.Socket()
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
		}
	}
	if _, err := embeddedredis.Start(context.Background(), config(dir)); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "redis.lock")+" is in use by another running server") {
		t.Errorf("a second server on the same folder: %v", err)
	}
	type started struct {
		s   *embeddedredis.Server
		err error
	}
	successor := make(chan started, 1)
	go func() {
		s, err := embeddedredis.Start(context.Background(), config(dir))
		for until := time.Now().Add(patience); err != nil && strings.Contains(err.Error(), "is in use") && time.Now().Before(until); {
			s, err = embeddedredis.Start(context.Background(), config(dir)) // the disk may take longer than a start waits
		}
		successor <- started{s, err}
	}()
	require.NoError(t, first.Close())
	second := <-successor
	if second.err != nil {
		t.Fatalf("its successor: %v", second.err)
	}
	defer second.s.Close()
	if name, err := redis.String(dial(t, second.s).Do("GET", "name")); err != nil || name != "Ada" {
		t.Errorf("%q, %v", name, err)
	}
}

func TestASocketWhosePathIsTooLongLiesElsewhere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 25))
	require.NoError(t, os.Mkdir(dir, 0o700))
	s, err := embeddedredis.Start(context.Background(), config(dir))
	require.NoError(t, err)
	if !filepath.IsAbs(s.Socket()) || strings.HasPrefix(s.Socket(), dir) {
		t.Errorf("socket %s", s.Socket())
	}
	if out := cliOf(t, s).run("PING"); out != "PONG\n" {
		t.Errorf("redis-cli: %s", out)
	}
	require.NoError(t, s.Close())
	if _, err := os.Stat(filepath.Dir(s.Socket())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its folder is left: %v", err)
	}
}

const asVictim = "HOLDFAST_EMBEDDEDREDIS_VICTIM"

// TestWhatWasAnsweredOutlivesAKilledProcess runs itself as a second process, which
// stores as fast as it can and prints each reply, and kills that process.
func TestWhatWasAnsweredOutlivesAKilledProcess(t *testing.T) {
	if dir := os.Getenv(asVictim); dir != "" {
		conn := dial(t, open(t, dir))
		for i := 1; ; i++ {
			do(t, conn, "SET", "key", i)
			fmt.Println("stored", i)
		}
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestWhatWasAnsweredOutlivesAKilledProcess$")
	cmd.Env = append(os.Environ(), asVictim+"="+dir, "TMPDIR="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	last := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "stored %d", &last); err == nil && last == 20 {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	if last < 20 {
		t.Fatalf("the victim stored %d times", last)
	}
	conn := dial(t, open(t, dir))
	// One more may have been stored without a reply.
	if n, err := redis.Int(conn.Do("GET", "key")); err != nil || (n != last && n != last+1) {
		t.Errorf("%d is stored after %d was answered: %v", n, last, err)
	}
}

func TestAKeyOfAnotherTypeIsNoString(t *testing.T) {
	dir := t.TempDir()
	db, err := redka.Open(filepath.Join(dir, "redis.db"), &redka.Options{DriverName: "sqlite"})
	require.NoError(t, err)
	if _, err := db.Hash().Set("hash", "field", "value"); err != nil {
		t.Fatal(err)
	}
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
		answer, err := conn.Do(c.command, c.args...)
		got := fmt.Sprint(answer)
		if text, isText := answer.([]byte); isText {
			got = string(text)
		}
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
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
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
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
	if _, err := db.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	do(t, conn, "SET", "name", "Grace")
}

func TestWhereNoPathIsShortEnoughItServesInsideTheProcess(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("kelp", 30))
	require.NoError(t, os.Mkdir(long, 0o700))
	t.Setenv("TMPDIR", long)
	s, err := embeddedredis.Start(t.Context(), config(long))
	require.NoError(t, err)
	defer s.Close()
	if s.Socket() != "" {
		t.Errorf("a socket of %d characters", len(s.Socket()))
	}
	conn, err := s.Dial(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	if pong, err := redis.String(conn.Do("PING")); pong != "PONG" || err != nil {
		t.Errorf("%q, %v", pong, err)
	}
}
