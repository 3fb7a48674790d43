package testservice

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
)

// RedisServer is a redis-server, or one database of a shared one.
type RedisServer struct {
	URL  string // redis://127.0.0.1:PORT, with /NUMBER for a database of a shared server
	Addr string // 127.0.0.1:PORT
	CLI  string // path of redis-cli, "" when it is not installed

	t      testing.TB
	args   []string
	folder string
	run    *process
	shared bool
}

// redisDatabases is how many databases the shared server has: more than tests
// that one process runs.
const redisDatabases = 8192

// sharedRedis is the one server of this test process.
var sharedRedis struct {
	sync.Mutex
	server *RedisServer
	err    error
	used   int // databases handed out so far
}

// Redis returns an empty numbered database on the redis-server that all tests of
// this process share. It must be used for nothing that others would notice: no
// FLUSHALL, no CONFIG SET, no stop. See [PrivateRedis] for those.
func Redis(t testing.TB) *RedisServer {
	t.Helper()
	if !guarded {
		return PrivateRedis(t)
	}
	Program(t, "redis-server")
	sharedRedis.Lock()
	defer sharedRedis.Unlock()
	if sharedRedis.server == nil && sharedRedis.err == nil {
		sharedRedis.server, sharedRedis.err = newSharedRedis(t)
	}
	if sharedRedis.err != nil {
		t.Fatalf("testservice: start redis-server: %v", sharedRedis.err)
	}
	s := *sharedRedis.server
	s.t = t
	s.URL += "/" + strconv.Itoa(sharedRedis.used)
	if sharedRedis.used++; sharedRedis.used > redisDatabases {
		t.Fatalf("testservice: more than %d tests asked for a database", redisDatabases)
	}
	t.Cleanup(func() {
		if _, err := s.Do("FLUSHDB"); err != nil {
			t.Errorf("testservice: empty the test's database: %v", err)
		}
	})
	return &s
}

func newSharedRedis(t testing.TB) (*RedisServer, error) {
	folder, err := openFolder("holdfast-redis-")
	if err != nil {
		return nil, err
	}
	s := &RedisServer{folder: folder, CLI: find("redis-cli"), shared: true, args: []string{"--databases", strconv.Itoa(redisDatabases)}}
	if err := s.startOnFreePort(t); err != nil {
		os.RemoveAll(folder)
		return nil, err
	}
	return s, nil
}

// PrivateRedis starts a redis-server on a free loopback port, with its files in a
// temporary folder, and stops it at the test's end. It keeps nothing on disk
// unless args say otherwise; args are options of redis-server as on its command
// line ("--appendonly", "yes") and come after, so win over, the defaults.
func PrivateRedis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	Program(t, "redis-server")
	s := &RedisServer{t: t, args: args, CLI: find("redis-cli"), folder: t.TempDir()}
	t.Cleanup(func() {
		if err := s.run.end(syscall.SIGKILL); err != nil {
			t.Errorf("testservice: end redis-server: %v", err)
		}
	})
	if err := s.startOnFreePort(t); err != nil {
		t.Fatalf("testservice: start redis-server: %v", err)
	}
	return s
}

func (s *RedisServer) startOnFreePort(t testing.TB) (err error) {
	for range 3 { // another process may have taken the port meanwhile
		s.Addr = "127.0.0.1:" + strconv.Itoa(FreePort(t))
		s.URL = "redis://" + s.Addr
		if err = s.start(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w\n%s", err, tail(s.log()))
}

// own fails a test that would stop or hang the server of others.
func (s *RedisServer) own() {
	s.t.Helper()
	if s.shared {
		s.t.Fatalf("testservice: other tests share this server: use PrivateRedis")
	}
}

func (s *RedisServer) log() string { return filepath.Join(s.folder, "redis.log") }

func (s *RedisServer) start() error {
	_, port, _ := net.SplitHostPort(s.Addr)
	args := append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", s.folder, "--daemonize", "no",
		"--save", "", "--appendonly", "no",
	}, s.args...)
	run, err := launch(exec.Command(find("redis-server"), args...), s.log(), s.folder, "KILL")
	if err != nil {
		return err
	}
	s.run = run
	err = poll(run, startLimit, func(context.Context) error {
		_, err := s.Do("PING")
		var refused redis.Error
		if errors.As(err, &refused) && !strings.HasPrefix(refused.Error(), "LOADING") {
			return nil // it answers; that it asks for a password is the test's own wish
		}
		return err
	})
	if err != nil {
		run.end(syscall.SIGKILL)
	}
	return err
}

// Start starts a stopped or killed server again: same port, same folder, same
// options. It returns when the server answers.
func (s *RedisServer) Start() {
	s.t.Helper()
	s.own()
	if s.run.running() {
		s.t.Fatal("testservice: redis-server is running already")
	}
	if err := s.start(); err != nil {
		s.t.Fatalf("testservice: start redis-server again: %v\n%s", err, tail(s.log()))
	}
}

// Stop ends the server in good order (SIGTERM) and waits until it is gone.
func (s *RedisServer) Stop() {
	s.t.Helper()
	s.end(syscall.SIGTERM)
}

// Kill ends the server in the middle of whatever it does (SIGKILL).
func (s *RedisServer) Kill() {
	s.t.Helper()
	s.end(syscall.SIGKILL)
}

func (s *RedisServer) end(how syscall.Signal) {
	s.t.Helper()
	s.own()
	if err := s.run.end(how); err != nil {
		s.t.Fatalf("testservice: stop redis-server: %v", err)
	}
}

// Pause hangs the server (SIGSTOP): it holds its connections and the system
// accepts new ones, but nothing is answered until Resume.
func (s *RedisServer) Pause() {
	s.t.Helper()
	s.own()
	pause(s.t, s.run)
}

// Resume lets a paused server go on.
func (s *RedisServer) Resume() {
	s.t.Helper()
	s.own()
	s.run.resume()
}

// Do sends one command over a connection of its own and returns the answer as
// redigo gives it, so that redis.Int, redis.Strings and the like apply.
func (s *RedisServer) Do(command string, args ...any) (any, error) {
	const limit = 20 * time.Second
	conn, err := redis.DialURL(s.URL,
		redis.DialConnectTimeout(limit), redis.DialReadTimeout(limit), redis.DialWriteTimeout(limit))
	if err != nil {
		return nil, fmt.Errorf("reach redis-server: %w", err)
	}
	defer conn.Close()
	return conn.Do(command, args...)
}
