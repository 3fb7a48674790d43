package embeddedredis_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/embeddedredis"
)

// patience is enough time for anything on a busy machine.
const patience = 20 * time.Second

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// config returns a configuration for a server in dir with two scripts.
func config(dir string) embeddedredis.Config {
	return embeddedredis.Config{Dir: dir, Product: "Kelp", Scripts: scripts, Log: quiet}
}

// open starts a server in dir and closes it when the test ends.
func open(t testing.TB, dir string) *embeddedredis.Server {
	t.Helper()
	s, err := embeddedredis.Start(context.Background(), config(dir))
	return closing(t, s, err)
}

// closing closes a server that has started when the test ends.
func closing(t testing.TB, s *embeddedredis.Server, err error) *embeddedredis.Server {
	t.Helper()
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func dial(t testing.TB, s *embeddedredis.Server, options ...redis.DialOption) redis.Conn {
	t.Helper()
	conn, err := s.Dial(context.Background(), options...)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

func do(t testing.TB, conn redis.Conn, command string, args ...any) any {
	t.Helper()
	answer, err := conn.Do(command, args...)
	if err != nil {
		t.Fatalf("%s %v: %v", command, args, err)
	}
	return answer
}

// cli runs redis-cli against a server and returns its output.
type cli struct {
	t     testing.TB
	where []string
}

func cliOf(t testing.TB, s *embeddedredis.Server) cli { return cli{t, []string{"-s", s.Socket()}} }

func (c cli) command(args ...string) *exec.Cmd {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	c.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, testservice.Program(c.t, "redis-cli"), append(c.where, args...)...)
	cmd.Env = append(os.Environ(), "REDISCLI_HISTFILE=/dev/null")
	return cmd
}

func (c cli) run(args ...string) string {
	c.t.Helper()
	out, err := c.command(args...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("redis-cli %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// slow is what redis-cli appends to a reply that took half a second.
var slow = regexp.MustCompile(`(?m)^\(\d+\.\d+s\)\n`)

// typed runs redis-cli interactively, with one command per line.
func (c cli) typed(lines ...string) string {
	c.t.Helper()
	cmd := c.command("--no-raw")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("redis-cli with %q: %v\n%s", lines, err, out)
	}
	return slow.ReplaceAllString(string(out), "")
}
