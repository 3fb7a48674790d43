package embeddedredis_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
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

	"holdfast/internal/dev/require"
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
	return closing(t, s, err)
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
