package testservice

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
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

	*service
}

// redisDatabases is the number of databases of the shared server, which must exceed the
// number of tests that a process runs.
const redisDatabases = 8192

// sharedRedis is the server that the tests of this process share.
var sharedRedis struct {
	sync.Mutex
	server *RedisServer
	err    error
	used   int // databases handed out so far
}

// Redis returns an empty numbered database on the redis-server that all tests of this
// process share. A test must do nothing that affects other tests: no FLUSHALL, no
// CONFIG SET, no stop. See [PrivateRedis] for those.
func Redis(t testing.TB) *RedisServer {
	t.Helper()
	Program(t, "redis-server")
	sharedRedis.Lock()
	defer sharedRedis.Unlock()
	if sharedRedis.server == nil && sharedRedis.err == nil {
		var folder string // [Main] removes it
		if folder, sharedRedis.err = openFolder("holdfast-redis-"); sharedRedis.err == nil {
			sharedRedis.server, sharedRedis.err = startRedis(t, folder, "--databases", strconv.Itoa(redisDatabases))
		}
	}
	if sharedRedis.err != nil {
		t.Fatalf("testservice: start redis-server: %v", sharedRedis.err)
	}
	s := *sharedRedis.server
	s.service = &service{t: t, shared: true}
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

// PrivateRedis starts a redis-server on a free loopback port, with its files in a
// temporary folder, and stops it when the test ends. By default it keeps nothing on
// disk. args are command-line options of redis-server, such as "--appendonly", "yes",
// and override the defaults.
func PrivateRedis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	Program(t, "redis-server")
	s, err := startRedis(t, t.TempDir(), args...)
	if err != nil {
		t.Fatalf("testservice: start redis-server: %v", err)
	}
	s.endWithTest()
	return s
}

func startRedis(t testing.TB, folder string, args ...string) (*RedisServer, error) {
	s := &RedisServer{}
	port := ""
	s.service = &service{
		t: t, name: "redis-server", folder: folder, stop: syscall.SIGTERM, last: syscall.SIGKILL,
		command: func() *exec.Cmd {
			return exec.Command(find("redis-server"), append([]string{
				"--port", port, "--bind", "127.0.0.1", "--dir", folder, "--daemonize", "no",
				"--save", "", "--appendonly", "no",
			}, args...)...)
		},
		ready: func(context.Context) error {
			_, err := s.Do("PING")
			var refused redis.Error
			if errors.As(err, &refused) && !strings.HasPrefix(refused.Error(), "LOADING") {
				return nil // it responds: the test itself set a password
			}
			return err
		},
	}
	return s, s.startOnFreePort(func(free int) {
		port = strconv.Itoa(free)
		s.Addr = "127.0.0.1:" + port
		s.URL = "redis://" + s.Addr
	})
}

// Do sends one command over a new connection. It returns the reply as redigo does, for
// redis.Int, redis.Strings and the like.
func (s *RedisServer) Do(command string, args ...any) (any, error) {
	const limit = 20 * time.Second
	conn, err := redis.DialURL(s.URL,
		redis.DialConnectTimeout(limit), redis.DialReadTimeout(limit), redis.DialWriteTimeout(limit))
	if err != nil {
		return nil, fmt.Errorf("connect to redis-server: %w", err)
	}
	defer conn.Close()
	return conn.Do(command, args...)
}
