package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/scs/redisstore"
	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/pipeline"
)

// gate dials once open is closed.
type gate struct {
	open chan struct{}
	dial func(context.Context) (redis.Conn, error)
}

func (g gate) Dial(ctx context.Context) (redis.Conn, error) {
	select {
	case <-g.open:
		return g.dial(ctx)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestCommandsThatWaitTogetherLeaveInOneWrite(t *testing.T) {
	s := serve(t, (*peer).echo)
	w := new(wire)
	g := gate{make(chan struct{}), w.to(s.addr)}
	c := open(t, pipeline.Options{Dial: g.Dial})
	all := askMany(c, 100)
	waiting(t, c, 100, 0)
	close(g.open)
	for i, a := range all {
		wantEcho(t, <-a, fmt.Sprintf("GET %d", i))
	}
	if n := w.writes.Load(); n != 1 { // they fit into redigo's buffer of 4,096 bytes
		t.Errorf("100 commands took %d writes", n)
	}
}

func TestCommandsOfManyGoroutinesShareWrites(t *testing.T) {
	const askers, each = 64, 200
	w := new(wire)
	c := open(t, pipeline.Options{Dial: w.to(testservice.PrivateRedis(t).Addr)})
	var running sync.WaitGroup
	for range askers {
		running.Go(func() {
			for range each {
				if _, err := c.Do("PING"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	n := w.writes.Load()
	t.Logf("%d commands, %d writes", askers*each, n)
	if 2*n > askers*each {
		t.Errorf("%d commands took %d writes", askers*each, n)
	}
}

func TestCommandsAreSentInTheOrderAsked(t *testing.T) {
	s := serve(t, (*peer).echo)
	g := gate{make(chan struct{}), to(s.addr)}
	c := open(t, pipeline.Options{Dial: g.Dial, Timeout: time.Hour})
	var all []<-chan answer
	var want []string
	for i := range 1000 {
		all = append(all, ask(t.Context(), c, "GET", i))
		want = append(want, fmt.Sprintf("GET %d", i))
		waiting(t, c, i+1, 0)
	}
	close(g.open)
	for i, a := range all {
		wantEcho(t, <-a, want[i])
	}
	if got := s.commands(1); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("sent %q", got)
	}
}

func TestTenThousandWaitersAtOnce(t *testing.T) {
	s := serve(t, (*peer).echo)
	g := gate{make(chan struct{}), to(s.addr)}
	c := open(t, pipeline.Options{Dial: g.Dial})
	all := askMany(c, 10_000)
	waiting(t, c, 10_000, 0)
	close(g.open)
	for i, a := range all {
		wantEcho(t, <-a, fmt.Sprintf("GET %d", i))
	}
	s.wantConnections(t, 1)
}

func TestRepliesOfAMegabyteAreHandedOut(t *testing.T) {
	server := testservice.PrivateRedis(t)
	c := open(t, pipeline.Options{Dial: to(server.Addr)})
	var values [8][]byte
	for i := range values {
		values[i] = bytes.Repeat([]byte{byte('a' + i)}, 1<<20)
		_, err := c.Do("SET", i, values[i])
		require.NoError(t, err)
	}
	var running sync.WaitGroup
	for asker := range 100 {
		running.Go(func() {
			got, err := redis.Bytes(c.Do("GET", asker%8))
			if err != nil || !bytes.Equal(got, values[asker%8]) {
				t.Errorf("asker %d: %d bytes, %v", asker, len(got), err)
			}
		})
	}
	running.Wait()
}

type loud string

func (l loud) RedisArg() any { return strings.ToUpper(string(l)) }

func TestArgumentsAreSentAsRedigoSendsThem(t *testing.T) {
	s := serve(t, (*peer).echo)
	args := []any{"text", []byte("bytes"), []byte(nil), 7, int64(-8), 0.5, true, false, nil, uint16(9), loud("loud"),
		time.Second, struct{ A int }{3}}
	direct, err := to(s.addr)(t.Context())
	require.NoError(t, err)
	defer direct.Close()
	want, err := redis.String(direct.Do("SET", args...))
	require.NoError(t, err)
	c := open(t, pipeline.Options{Dial: to(s.addr)})
	if got, err := redis.String(c.Do("SET", args...)); got != want || err != nil {
		t.Errorf("sent %q, redigo sends %q, %v", got, want, err)
	}
}

func TestArgumentsBelongToTheCallerAgainWhenDoReturns(t *testing.T) {
	release := make(chan struct{})
	s := serveFirst(t, func(*peer) { <-release }) // a hanging server: the socket's buffers fill
	c := open(t, pipeline.Options{Dial: to(s.addr)})
	own := bytes.Repeat([]byte("a"), 16<<20)
	ctx, cancel := context.WithCancel(t.Context())
	asked := ask(ctx, c, "SET", "large", own)
	waiting(t, c, 0, 1)
	follower := ask(t.Context(), c, "GET", "follower")
	waiting(t, c, 1, 1)
	cancel()
	wantErr(t, <-asked, context.Canceled)
	for i := range own { // the race detector reports a writer that still reads it
		own[i] = 'b'
	}
	close(release)
	wantEcho(t, <-follower, "GET follower")
	if s.times("GET follower") != 1 {
		t.Error("the follower was sent on the connection that hung")
	}
}

func TestACommandWhoseAskerLeftBeforeItWasSentIsNotSent(t *testing.T) {
	s := serve(t, (*peer).echo)
	g := gate{make(chan struct{}), to(s.addr)}
	c := open(t, pipeline.Options{Dial: g.Dial})
	ctx, cancel := context.WithCancel(t.Context())
	first, gone, last := ask(t.Context(), c, "GET", "first"), ask(ctx, c, "GET", "gone"), ask(t.Context(), c, "GET", "last")
	waiting(t, c, 3, 0)
	cancel()
	wantErr(t, <-gone, context.Canceled)
	close(g.open)
	wantEcho(t, <-first, "GET first")
	wantEcho(t, <-last, "GET last")
	if s.times("GET gone") != 0 {
		t.Error("it was sent")
	}
	if _, err := c.DoContext(ctx, "GET", "late"); !errors.Is(err, context.Canceled) || s.times("GET late") != 0 {
		t.Errorf("with an ended context: %v, sent %d times", err, s.times("GET late"))
	}
}

func TestObserveIsToldEachOutcomeOnce(t *testing.T) {
	s := serve(t, func(p *peer) {
		for cmd, ok := p.next(); ok; cmd, ok = p.next() {
			switch {
			case cmd == "GET cut" && p.number == 1:
				return
			case cmd == "GET bad":
				p.reply("-ERR bad\r\n")
			default:
				p.reply("+OK\r\n")
			}
		}
	})
	var reported []string
	c := open(t, pipeline.Options{Dial: to(s.addr), Observe: func(cmd string, _ time.Time, err error) {
		reported = append(reported, fmt.Sprint(cmd, " ", err))
	}})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	c.Do("GET", "good")
	c.Do("GET", "cut")
	c.Do("GET", "bad")
	c.DoContext(ended, "GET", "gone")
	c.Do("MULTI")
	c.Close()
	c.Do("DEL", "closed")
	want := "GET <nil>|GET <nil>|GET ERR bad|GET context canceled|" +
		"MULTI MULTI on a shared connection: unsupported operation|DEL " + pipeline.ErrClosed.Error()
	if got := strings.Join(reported, "|"); got != want {
		t.Errorf("reported %s\nwant %s", got, want)
	}
}

func TestRedisstoreAndScriptsRunOnThePool(t *testing.T) {
	server := testservice.PrivateRedis(t)
	dials := 0
	c := open(t, pipeline.Options{Dial: func(ctx context.Context) (redis.Conn, error) {
		dials++
		return to(server.Addr)(ctx)
	}})
	store := redisstore.NewWithPrefix(c.Pool(), "prefix:")
	if _, found, err := store.Find("token"); found || err != nil {
		t.Errorf("found %t, %v", found, err)
	}
	_, err := server.Do("SET", "prefix:token", "value")
	require.NoError(t, err)
	if value, found, err := store.Find("token"); string(value) != "value" || !found || err != nil {
		t.Errorf("found %q, %t, %v", value, found, err)
	}
	script := redis.NewScript(1, `return {KEYS[1], ARGV[1], redis.call('GET', KEYS[1])}`)
	for range 2 { // EVALSHA and EVAL, then EVALSHA alone
		conn := c.Pool().Get()
		got, err := redis.Strings(script.DoContext(t.Context(), conn, "prefix:token", []byte("arg")))
		if fmt.Sprint(got) != "[prefix:token arg value]" || err != nil {
			t.Errorf("the script answered %q, %v", got, err)
		}
		require.NoError(t, conn.Close())
	}
	require.NoError(t, store.Delete("token"))
	if n, err := redis.Int(server.Do("DBSIZE")); n != 0 || err != nil {
		t.Errorf("%d keys are left, %v", n, err)
	}
	if dials != 1 {
		t.Errorf("dialled %d times", dials)
	}
}

func TestAHandleRefusesWhatASharedConnectionCannotCarry(t *testing.T) {
	s := serve(t, (*peer).echo)
	c := open(t, pipeline.Options{Dial: to(s.addr)})
	conn := c.Pool().Get()
	defer conn.Close()
	_, receive := conn.Receive()
	_, receiveContext := redis.ReceiveContext(conn, t.Context())
	_, receiveWithTimeout := redis.ReceiveWithTimeout(conn, time.Second)
	_, do := conn.Do("multi")
	_, subscribe := c.Do("SUBSCRIBE", "news")
	for what, err := range map[string]error{
		"Send": conn.Send("GET", "x"), "Flush": conn.Flush(), "Receive": receive, "ReceiveContext": receiveContext,
		"ReceiveWithTimeout": receiveWithTimeout, "MULTI": do, "SUBSCRIBE": subscribe,
		"redisstore.Commit": redisstore.New(c.Pool()).Commit("token", nil, time.Now()),
	} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if reply, err := conn.Do(""); reply != nil || err != nil || conn.Err() != nil {
		t.Errorf("an empty command: %v, %v; Err %v", reply, err, conn.Err())
	}
	s.wantConnections(t, 0)
}

func TestAHandleKeepsItsOwnTimeLimit(t *testing.T) {
	s := serve(t, (*peer).untilClosed)
	c := open(t, pipeline.Options{Dial: to(s.addr)})
	conn := c.Pool().Get()
	defer conn.Close()
	_, err := redis.DoWithTimeout(conn, 20*time.Millisecond, "GET", "x")
	wantErr(t, answer{err: err}, pipeline.ErrTimeout)
}
