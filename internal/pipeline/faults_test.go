package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/pipeline"
)

// late is how far a wait may exceed its limit on a busy machine. It is less than ample,
// the time a wait without its limit would take.
const late = ample / 2

func within(t *testing.T, limit time.Duration, began time.Time) {
	t.Helper()
	if took := time.Since(began); took < limit || took > limit+late {
		t.Errorf("took %s, limit %s", took, limit)
	}
}

func TestEveryWaiterHasItsOwnLimit(t *testing.T) {
	t.Parallel()
	s := serve(t, (*peer).untilClosed)
	patient := open(t, pipeline.Options{Dial: to(s.addr)})
	const timeout = 300 * time.Millisecond
	hasty := open(t, pipeline.Options{Dial: to(s.addr), Timeout: timeout})
	began := time.Now()
	limits := []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, time.Hour}
	var all []<-chan answer
	for i, limit := range limits {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		c := patient
		if limit > timeout {
			c = hasty
		}
		all = append(all, ask(ctx, c, "GET", i))
	}
	for i, a := range all {
		wantErr(t, <-a, pipeline.ErrTimeout)
		within(t, min(limits[i], timeout), began)
	}
}

func TestATimeoutIsAnExceededDeadline(t *testing.T) {
	s := serve(t, (*peer).untilClosed)
	c := open(t, pipeline.Options{Dial: to(s.addr), Timeout: 20 * time.Millisecond})
	_, err := c.Do("GET", "x")
	var timeout net.Error
	if !errors.Is(err, pipeline.ErrTimeout) || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("Timeout over: %v", err)
	}
	c = open(t, pipeline.Options{Dial: to(s.addr)})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = c.DoContext(ctx, "GET", "x")
	if !errors.Is(err, pipeline.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("context over: %v", err)
	}
}

// TestWhoeverWaitsInVainClosesTheConnection checks that an unanswered command closes
// the connection, and that a second command is sent again on the next one within the
// rest of its timeout.
func TestWhoeverWaitsInVainClosesTheConnection(t *testing.T) {
	t.Parallel()
	s := serveFirst(t, (*peer).untilClosed)
	const timeout = 3 * time.Second
	c := open(t, pipeline.Options{Dial: to(s.addr), Timeout: timeout})
	began := time.Now()
	first := ask(t.Context(), c, "GET", "first")
	waiting(t, c, 0, 1)
	eventually(t, "half of the first one's time is over", func() bool { return time.Since(began) > timeout/2 })
	second := ask(t.Context(), c, "GET", "second")
	wantErr(t, <-first, pipeline.ErrTimeout)
	within(t, timeout, began)
	wantEcho(t, <-second, "GET second")
	if s.times("GET first") != 1 || s.times("GET second") != 2 {
		t.Errorf("sent %q and %q", s.commands(1), s.commands(2))
	}
}

func TestAnUnansweredCommandClosesTheConnectionThoughItsAskerLeft(t *testing.T) {
	t.Parallel()
	s := serveFirst(t, (*peer).untilClosed)
	const timeout = 2 * time.Second
	c := open(t, pipeline.Options{Dial: to(s.addr), Timeout: timeout})
	ctx, cancel := context.WithCancel(t.Context())
	gone := ask(ctx, c, "GET", "gone")
	eventually(t, "it is sent", func() bool { return s.times("GET gone") == 1 })
	cancel()
	wantErr(t, <-gone, context.Canceled)
	waiting(t, c, 0, 0)
	wantEcho(t, <-ask(t.Context(), c, "GET", "next"), "GET next")
	if s.times("GET gone") != 1 {
		t.Errorf("sent %q and %q", s.commands(1), s.commands(2))
	}
}

func TestAReplyAfterItsWaiterLeftIsThrownAway(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(p *peer) {
		p.next()
		p.next()
		<-release
		p.reply(bulk("GET gone") + bulk("GET kept"))
		p.echo()
	})
	c := open(t, pipeline.Options{Dial: to(s.addr)})
	ctx, cancel := context.WithCancel(t.Context())
	gone := ask(ctx, c, "GET", "gone")
	waiting(t, c, 0, 1)
	kept := ask(t.Context(), c, "GET", "kept")
	eventually(t, "both are sent", func() bool { return s.times("GET gone")+s.times("GET kept") == 2 })
	cancel()
	wantErr(t, <-gone, context.Canceled)
	close(release)
	wantEcho(t, <-kept, "GET kept")
	wantEcho(t, <-ask(t.Context(), c, "GET", "next"), "GET next")
	s.wantConnections(t, 1)
}

func TestAHangingRedisCostsItsWaitersTheirLimit(t *testing.T) {
	t.Parallel()
	server := testservice.PrivateRedis(t)
	const timeout = time.Second
	c := open(t, pipeline.Options{Dial: to(server.Addr), Timeout: timeout})
	wantPong(t, c)
	server.Pause()
	defer server.Resume()
	for range 3 {
		began := time.Now()
		for _, a := range askMany(c, 50) {
			wantErr(t, <-a, pipeline.ErrTimeout)
			within(t, timeout, began)
		}
	}
	server.Resume()
	eventually(t, "Redis answers again", func() bool { _, err := c.Do("PING"); return err == nil })
}

func wantPong(t *testing.T, c *pipeline.Client) {
	t.Helper()
	if reply, err := c.Do("PING"); reply != "PONG" || err != nil {
		t.Fatalf("PING: %v, %v", reply, err)
	}
}

func TestARedisThatWasStartedAgainIsUsedAtOnce(t *testing.T) {
	server := testservice.PrivateRedis(t)
	c := open(t, pipeline.Options{Dial: to(server.Addr)})
	for name, end := range map[string]func(){"stopped": server.Stop, "killed": server.Kill} {
		t.Run(name, func(t *testing.T) {
			wantPong(t, c)
			end()
			_, err := c.Do("PING")
			wantErr(t, answer{err: err}, syscall.ECONNREFUSED)
			server.Start()
			wantPong(t, c)
		})
	}
}

func TestThoseWhoWaitShareOneAttemptToConnect(t *testing.T) {
	var dials atomic.Int64
	allow := make(chan struct{})
	refused := to(fmt.Sprintf("127.0.0.1:%d", testservice.FreePort(t)))
	c := open(t, pipeline.Options{Dial: func(ctx context.Context) (redis.Conn, error) {
		dials.Add(1)
		<-allow
		return refused(ctx)
	}})
	for attempt := range int64(2) {
		all := askMany(c, 100)
		waiting(t, c, 100, 0)
		allow <- struct{}{}
		for _, a := range all {
			wantErr(t, <-a, syscall.ECONNREFUSED)
		}
		if n := dials.Load(); n != attempt+1 {
			t.Errorf("dialled %d times, want %d", n, attempt+1)
		}
	}
}

func TestAnAttemptToConnectEndsInTime(t *testing.T) {
	c := open(t, pipeline.Options{ConnectTimeout: 50 * time.Millisecond, Dial: func(ctx context.Context) (redis.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	began := time.Now()
	wantErr(t, <-ask(t.Context(), c, "GET", "x"), context.DeadlineExceeded)
	within(t, 50*time.Millisecond, began)
}

// TestAnUnfitServerIsLeftAfterItsReplies sends three commands, the first of which gets
// an error reply. The others get their replies, nothing is sent again, and if the
// server is unfit, the next command uses a new connection.
func TestAnUnfitServerIsLeftAfterItsReplies(t *testing.T) {
	for code, leaves := range map[string]bool{
		"READONLY": true, "LOADING": true, "MASTERDOWN": true, "NOAUTH": true, "WRONGPASS": true,
		"NOPERM": false, "WRONGTYPE": false, "ERR": false, "NOSCRIPT": false, "OOM": false,
	} {
		t.Run(code, func(t *testing.T) {
			left := make(chan struct{})
			s := serve(t, func(p *peer) {
				if p.number == 1 {
					defer close(left)
					p.next()
					p.next()
					p.next()
					p.reply("-" + code + " reason\r\n" + bulk("GET 1") + bulk("GET 2"))
				}
				p.echo()
			})
			g := gate{make(chan struct{}), to(s.addr)}
			c := open(t, pipeline.Options{Dial: g.Dial})
			var all []<-chan answer
			for i := range 3 {
				all = append(all, ask(t.Context(), c, "GET", i))
				waiting(t, c, i+1, 0)
			}
			close(g.open)
			if refused := (<-all[0]).err; refused != redis.Error(code+" reason") {
				t.Errorf("the first got %v", refused)
			}
			wantEcho(t, <-all[1], "GET 1")
			wantEcho(t, <-all[2], "GET 2")
			wantEcho(t, <-ask(t.Context(), c, "GET", "next"), "GET next")
			want := 1
			if leaves {
				want = 2
				<-left
			}
			s.wantConnections(t, want)
			if len(s.commands(1))+len(s.commands(2)) != 4 {
				t.Errorf("sent %q and %q", s.commands(1), s.commands(2))
			}
		})
	}
}

func TestAFailoverBehindOneAddressIsNoticed(t *testing.T) {
	server := testservice.PrivateRedis(t)
	dials := 0
	c := open(t, pipeline.Options{Dial: func(ctx context.Context) (redis.Conn, error) {
		dials++
		return to(server.Addr)(ctx)
	}})
	_, err := server.Do("REPLICAOF", "127.0.0.1", "1")
	require.NoError(t, err)
	var refused redis.Error
	if _, err := c.Do("SET", "k", "v"); !errors.As(err, &refused) || !strings.HasPrefix(string(refused), "READONLY ") {
		t.Errorf("a replica answered %v", err)
	}
	_, err = server.Do("REPLICAOF", "NO", "ONE")
	require.NoError(t, err)
	if _, err := c.Do("SET", "k", "v"); err != nil || dials != 2 {
		t.Errorf("the new master: %v, %d dials", err, dials)
	}
}

func TestARedisThatWantsAPasswordAnswersSo(t *testing.T) {
	server := testservice.PrivateRedis(t, "--requirepass", "secret")
	for password, code := range map[string]string{"": "NOAUTH ", "wrong": "WRONGPASS "} {
		c := open(t, pipeline.Options{Dial: func(ctx context.Context) (redis.Conn, error) {
			return redis.DialContext(ctx, "tcp", server.Addr, redis.DialPassword(password))
		}})
		var refused redis.Error
		if _, err := c.Do("GET", "k"); !errors.As(err, &refused) || !strings.HasPrefix(string(refused), code) {
			t.Errorf("password %q: %v", password, err)
		}
	}
}

func TestClosingAnswersThoseWhoWait(t *testing.T) {
	silent := serve(t, (*peer).untilClosed)
	for name, o := range map[string]pipeline.Options{
		"for replies": {Dial: to(silent.addr)},
		"for a connection": {Dial: func(ctx context.Context) (redis.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}},
		"for a check": {Dial: to(silent.addr), Check: func(_ context.Context, conn redis.Conn) error {
			_, err := conn.Do("INFO")
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t, o)
			all := askMany(c, 1000)
			eventually(t, "all wait", func() bool { p, s := c.Waiting(); return p+s == 1000 })
			began := time.Now()
			c.Close()
			for _, a := range all {
				wantErr(t, <-a, pipeline.ErrClosed)
			}
			within(t, 0, began)
			wantErr(t, <-ask(t.Context(), c, "GET", "x"), pipeline.ErrClosed)
		})
	}
}

func TestAnUnsolicitedReplyClosesTheConnection(t *testing.T) {
	closed := make(chan struct{})
	s := serveFirst(t, func(p *peer) {
		p.next()
		p.reply(bulk("GET first") + bulk("another's"))
		p.untilClosed()
		close(closed)
	})
	c := open(t, pipeline.Options{Dial: to(s.addr)})
	wantEcho(t, <-ask(t.Context(), c, "GET", "first"), "GET first")
	<-closed
	wantEcho(t, <-ask(t.Context(), c, "GET", "next"), "GET next")
	s.wantConnections(t, 2)
}

// TestACutConnectionIsAskedOnceMore breaks the first connection after the server has
// received the command. The server sees the command exactly twice.
func TestACutConnectionIsAskedOnceMore(t *testing.T) {
	for name, end := range map[string]func(p *peer){
		"before the reply":       func(*peer) {},
		"in a length":            func(p *peer) { p.reply("$1") },
		"in a bulk string":       func(p *peer) { p.reply("$9\r\nGET ") },
		"in an array":            func(p *peer) { p.reply("*2\r\n$3\r\nGET\r\n") },
		"by a reset":             func(p *peer) { p.Conn.(*net.TCPConn).SetLinger(0) },
		"by garbage":             func(p *peer) { p.reply("HTTP/1.1 400\r\n") },
		"by a length too large":  func(p *peer) { p.reply("$9223372036854775807\r\n") },
		"by a wrong line ending": func(p *peer) { p.reply("$3\r\nGETxx") },
	} {
		t.Run(name, func(t *testing.T) {
			s := serveFirst(t, func(p *peer) {
				p.next()
				end(p)
			})
			c := open(t, pipeline.Options{Dial: to(s.addr)})
			wantEcho(t, <-ask(t.Context(), c, "GET", "key"), "GET key")
			if n := s.times("GET key"); n != 2 {
				t.Errorf("the server saw it %d times", n)
			}
		})
	}
}

func TestNothingIsAskedThreeTimes(t *testing.T) {
	s := serve(t, func(p *peer) { p.next() })
	c := open(t, pipeline.Options{Dial: to(s.addr)})
	_, err := c.Do("INCR", "n")
	wantErr(t, answer{err: err}, io.EOF)
	if n := s.times("INCR n"); n != 2 {
		t.Errorf("the server saw it %d times", n)
	}
}

func TestAnIdleConnectionThatWasCutCostsNothing(t *testing.T) {
	end := make(chan struct{})
	s := serveFirst(t, func(p *peer) {
		cmd, _ := p.next()
		p.reply(bulk(cmd))
		<-end
	})
	c := open(t, pipeline.Options{Dial: to(s.addr)})
	wantEcho(t, <-ask(t.Context(), c, "GET", "first"), "GET first")
	close(end)
	for i := range 10 {
		wantEcho(t, <-ask(t.Context(), c, "GET", i), fmt.Sprintf("GET %d", i))
	}
	s.wantConnections(t, 2)
}

func TestResetAsksAgainOnACheckedConnection(t *testing.T) {
	s := serve(t, func(p *peer) {
		for cmd, ok := p.next(); ok; cmd, ok = p.next() {
			if p.number > 1 || cmd == "INFO" {
				p.reply(bulk(cmd))
			}
		}
	})
	c := open(t, pipeline.Options{Dial: to(s.addr), Check: info})
	c.Reset(errors.New("nothing is open yet"))
	all := askMany(c, 100)
	eventually(t, "all are sent", func() bool { return len(s.commands(1)) == 1+100 })
	c.Reset(errors.New("a doubt"))
	for i, a := range all {
		wantEcho(t, <-a, fmt.Sprintf("GET %d", i))
	}
	for number := 1; number <= 2; number++ {
		if seen := s.commands(number); len(seen) != 101 || seen[0] != "INFO" {
			t.Errorf("connection %d saw %d commands, first %q", number, len(seen), seen[0])
		}
	}
	c.Reset(errors.New("another doubt"))
	wantEcho(t, <-ask(t.Context(), c, "GET", "x"), "GET x")
	s.wantConnections(t, 3)
}

func info(_ context.Context, conn redis.Conn) error {
	_, err := conn.Do("INFO")
	return err
}

func TestASecondResetNamesItsCause(t *testing.T) {
	s := serve(t, (*peer).untilClosed)
	c := open(t, pipeline.Options{Dial: to(s.addr)})
	doubt := errors.New("a doubt")
	asked := ask(t.Context(), c, "GET", "x")
	for number := 1; number <= 2; number++ {
		eventually(t, "it is sent", func() bool { return len(s.commands(number)) == 1 })
		c.Reset(doubt)
	}
	wantErr(t, <-asked, doubt)
}

func TestAFailedCheckKeepsCommandsAway(t *testing.T) {
	s := serve(t, (*peer).echo)
	doubtful := errors.New("not the run it was")
	fails := true
	c := open(t, pipeline.Options{Dial: to(s.addr), Check: func(ctx context.Context, conn redis.Conn) error {
		if err := info(ctx, conn); err != nil {
			return err
		}
		if fails {
			return doubtful
		}
		return nil
	}})
	for range 2 {
		wantErr(t, <-ask(t.Context(), c, "GET", "x"), doubtful)
	}
	fails = false
	wantEcho(t, <-ask(t.Context(), c, "GET", "x"), "GET x")
	for number, want := range []string{"INFO", "INFO", "INFO GET x"} {
		if seen := strings.Join(s.commands(number+1), " "); seen != want {
			t.Errorf("connection %d saw %s, want %s", number+1, seen, want)
		}
	}
}

func TestACheckMayTakeLongerThanACommand(t *testing.T) {
	t.Parallel()
	s := serve(t, (*peer).echo)
	checks := 0
	done := make(chan struct{})
	const timeout = 500 * time.Millisecond
	c := open(t, pipeline.Options{Dial: to(s.addr), Timeout: timeout, ConnectTimeout: timeout,
		Check: func(ctx context.Context, conn redis.Conn) error {
			checks++
			<-done
			return info(ctx, conn)
		}})
	for range 3 {
		began := time.Now()
		wantErr(t, <-ask(t.Context(), c, "GET", "early"), pipeline.ErrTimeout)
		within(t, timeout, began)
	}
	close(done)
	eventually(t, "the check is over", func() bool { _, err := c.Do("GET", "x"); return err == nil })
	if checks != 1 || s.times("GET early") != 0 {
		t.Errorf("%d checks; commands %q", checks, s.commands(1))
	}
}

func TestRepliesThatACheckLeftAreNobodys(t *testing.T) {
	s := serve(t, (*peer).echo)
	c := open(t, pipeline.Options{Dial: to(s.addr), Check: func(_ context.Context, conn redis.Conn) error {
		return conn.Send("GET", "left over")
	}})
	wantEcho(t, <-ask(t.Context(), c, "GET", "x"), "GET x")
}

func TestAReadTimeoutOfTheDialDoesNotEndAnIdleConnection(t *testing.T) {
	s := serve(t, (*peer).echo)
	c := open(t, pipeline.Options{Dial: func(ctx context.Context) (redis.Conn, error) {
		return redis.DialContext(ctx, "tcp", s.addr, redis.DialReadTimeout(time.Millisecond))
	}})
	for i := range 5 {
		wantEcho(t, <-ask(t.Context(), c, "GET", i), fmt.Sprintf("GET %d", i))
		time.Sleep(3 * time.Millisecond) // several times the read timeout
	}
	s.wantConnections(t, 1)
}

// plain hides all methods except those of redis.Conn.
type plain struct{ redis.Conn }

func TestAConnectionWithoutTimeoutsOfItsOwnWillDo(t *testing.T) {
	s := serve(t, (*peer).echo)
	c := open(t, pipeline.Options{Dial: func(ctx context.Context) (redis.Conn, error) {
		conn, err := to(s.addr)(ctx)
		return plain{conn}, err
	}})
	wantEcho(t, <-ask(t.Context(), c, "GET", "x"), "GET x")
}
