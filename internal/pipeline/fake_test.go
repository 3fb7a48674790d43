package pipeline_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/pipeline"
)

// ample is a time limit that no test should reach.
const ample = 20 * time.Second

// fake is a server that speaks the Redis protocol and behaves as a test requires.
type fake struct {
	addr string

	mu   sync.Mutex
	seen [][]string // commands as strings, by connection in the order accepted
}

// peer is the server side of one connection.
type peer struct {
	net.Conn
	number int // from 1, in the order accepted
	in     *bufio.Reader
	server *fake
}

// serve starts a fake. It calls handle for each connection, and closes the connection
// when handle returns.
func serve(t testing.TB, handle func(p *peer)) *fake {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &fake{addr: listener.Addr().String()}
	var running sync.WaitGroup
	var conns sync.Map
	running.Go(func() {
		for number := 1; ; number++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Store(conn, nil)
			s.mu.Lock()
			s.seen = append(s.seen, nil)
			s.mu.Unlock()
			running.Go(func() {
				defer conn.Close()
				handle(&peer{conn, number, bufio.NewReader(conn), s})
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		conns.Range(func(conn, _ any) bool { conn.(net.Conn).Close(); return true })
		running.Wait()
	})
	return s
}

// serveFirst starts a fake that calls first for its first connection and echoes on the
// others.
func serveFirst(t testing.TB, first func(p *peer)) *fake {
	t.Helper()
	return serve(t, func(p *peer) {
		if p.number == 1 {
			first(p)
		} else {
			p.echo()
		}
	})
}

// next reads one command; ok is false when the client closed the connection.
func (p *peer) next() (cmd string, ok bool) {
	words, err := readCommand(p.in)
	if err != nil {
		return "", false
	}
	cmd = strings.Join(words, " ")
	p.server.mu.Lock()
	p.server.seen[p.number-1] = append(p.server.seen[p.number-1], cmd)
	p.server.mu.Unlock()
	return cmd, true
}

func (p *peer) reply(raw string) { io.WriteString(p, raw) }

// echo answers each command with the command.
func (p *peer) echo() {
	for cmd, ok := p.next(); ok; cmd, ok = p.next() {
		p.reply(bulk(cmd))
	}
}

// untilClosed reads commands and answers none.
func (p *peer) untilClosed() {
	for _, ok := p.next(); ok; _, ok = p.next() {
	}
}

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

func readCommand(in *bufio.Reader) ([]string, error) {
	length := func(mark byte) (int, error) {
		line, err := in.ReadString('\n')
		if err != nil {
			return 0, err
		}
		if line[0] != mark {
			return 0, fmt.Errorf("not a command: %q", line)
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	n, err := length('*')
	words := make([]string, 0, max(n, 0))
	for ; n > 0 && err == nil; n-- {
		var size int
		if size, err = length('$'); err != nil {
			break
		}
		word := make([]byte, size+2)
		if _, err = io.ReadFull(in, word); err == nil {
			words = append(words, string(word[:size]))
		}
	}
	return words, err
}

// commands returns the commands seen on connection number, in order.
func (s *fake) commands(number int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number > len(s.seen) {
		return nil
	}
	return slices.Clone(s.seen[number-1])
}

func (s *fake) wantConnections(t testing.TB, want int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) != want {
		t.Errorf("%d connections, want %d", len(s.seen), want)
	}
}

// times returns how often cmd was seen on all connections.
func (s *fake) times(cmd string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seen := range s.seen {
		for _, one := range seen {
			if one == cmd {
				n++
			}
		}
	}
	return n
}

// wire opens connections and counts the writes on them.
type wire struct{ writes atomic.Int64 }

type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func (w *wire) to(addr string) func(context.Context) (redis.Conn, error) {
	return func(ctx context.Context) (redis.Conn, error) {
		return redis.DialContext(ctx, "tcp", addr, redis.DialContextFunc(
			func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, addr)
				return countedConn{conn, &w.writes}, err
			}))
	}
}

func to(addr string) func(context.Context) (redis.Conn, error) {
	return func(ctx context.Context) (redis.Conn, error) { return redis.DialContext(ctx, "tcp", addr) }
}

// open returns a client that is closed when the test ends.
func open(t testing.TB, o pipeline.Options) *pipeline.Client {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = ample
	}
	c := pipeline.New(o)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// eventually polls until holds is true.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(ample)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", ample, what)
		}
		time.Sleep(time.Millisecond)
	}
}

// waiting waits until that many commands are pending and in flight.
func waiting(t testing.TB, c *pipeline.Client, pending, sent int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d commands pending and %d in flight", pending, sent), func() bool {
		p, s := c.Waiting()
		return p == pending && s == sent
	})
}

// answer is the outcome of one command.
type answer struct {
	reply any
	err   error
}

// ask sends a command from a new goroutine.
func ask(ctx context.Context, c *pipeline.Client, cmd string, args ...any) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		reply, err := c.DoContext(ctx, cmd, args...)
		answers <- answer{reply, err}
	}()
	return answers
}

// askMany sends GET 0, GET 1, … from n goroutines.
func askMany(c *pipeline.Client, n int) []<-chan answer {
	all := make([]<-chan answer, n)
	for i := range all {
		all[i] = ask(context.Background(), c, "GET", i)
	}
	return all
}

// wantEcho checks the answer of an echoing server.
func wantEcho(t testing.TB, a answer, cmd string) {
	t.Helper()
	if got, err := redis.String(a.reply, a.err); got != cmd || err != nil {
		t.Errorf("%s: answered %q, %v", cmd, got, err)
	}
}

func wantErr(t testing.TB, a answer, want error) {
	t.Helper()
	if !errors.Is(a.err, want) {
		t.Errorf("answered %v, %v, want %v", a.reply, a.err, want)
	}
}
