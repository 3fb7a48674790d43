package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/pipeline"
)

const (
	campaignKeys   = 1000
	campaignAskers = 64
)

// valueOf returns the value expected at a key: its name, repeated to a length between
// 10 bytes and 5 KB that depends on the key.
func valueOf(key string) string {
	h := fnv.New32a()
	io.WriteString(h, key)
	size := 10 << (h.Sum32() % 10)
	return strings.Repeat(key+" ", size/(len(key)+1)+1)
}

// outcomes counts the results of a campaign's reads.
type outcomes struct {
	right, wrong, cancelled, timedOut, cut, resets atomic.Int64
}

// readRandomly reads random keys from many goroutines, some of which cancel early or
// reset the connection, and compares each reply with its key.
func readRandomly(t *testing.T, c *pipeline.Client, reads int) *outcomes {
	t.Helper()
	var o outcomes
	var running sync.WaitGroup
	var begun atomic.Int64
	for range campaignAskers {
		running.Go(func() {
			for n := begun.Add(1); n <= int64(reads); n = begun.Add(1) {
				if n%1000 == 0 {
					o.resets.Add(1)
					c.Reset(errors.New("reset by the campaign"))
				}
				ctx, cancel := context.Background(), context.CancelFunc(func() {})
				switch rand.IntN(50) {
				case 0:
					ctx, cancel = context.WithTimeout(ctx, rand.N(2*time.Millisecond))
				case 1:
					ctx, cancel = context.WithCancel(ctx)
					time.AfterFunc(rand.N(2*time.Millisecond), cancel)
				}
				key := "key" + strconv.Itoa(rand.IntN(campaignKeys))
				got, err := redis.String(c.DoContext(ctx, "GET", key))
				o.count(key, got, err)
				cancel()
			}
		})
	}
	running.Wait()
	t.Logf("%d right, %d wrong, %d cancelled, %d timed out, %d cut twice, %d resets", o.right.Load(), o.wrong.Load(),
		o.cancelled.Load(), o.timedOut.Load(), o.cut.Load(), o.resets.Load())
	return &o
}

func (o *outcomes) count(key, got string, err error) {
	switch {
	case err == nil && got == valueOf(key):
		o.right.Add(1)
	case err == nil:
		o.wrong.Add(1)
	case errors.Is(err, context.Canceled):
		o.cancelled.Add(1)
	case errors.Is(err, pipeline.ErrTimeout):
		o.timedOut.Add(1)
	default:
		o.cut.Add(1)
	}
}

// proxy passes bytes between clients and a server. On each connection it stops
// after a random number of the server's bytes, on every third by hanging and on
// the others by closing.
type proxy struct {
	addr         string
	server       string
	cuts, stalls atomic.Int64
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	p := &proxy{server: server}
	p.addr = serve(t, p.pass).addr
	return p
}

func (p *proxy) pass(client *peer) {
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(server, client)
		server.Close()
	}()
	io.CopyN(client, server, rand.Int64N(2<<20))
	if client.number%3 == 0 {
		p.stalls.Add(1)
		<-done // the client has closed the connection
		return
	}
	p.cuts.Add(1)
	client.Close()
	<-done
}

func TestNoReplyReachesAnothersRequestWhateverFails(t *testing.T) {
	reads := campaign.Number(50_000, 1_000_000)
	server := testservice.PrivateRedis(t)
	conn, err := to(server.Addr)(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	for i := range campaignKeys {
		key := "key" + strconv.Itoa(i)
		_, err := conn.Do("SET", key, valueOf(key))
		require.NoError(t, err)
	}
	p := newProxy(t, server.Addr)
	c := open(t, pipeline.Options{Dial: to(p.addr), Timeout: 100 * time.Millisecond})
	o := readRandomly(t, c, reads)
	t.Logf("%d connections cut, %d hung", p.cuts.Load(), p.stalls.Load())
	if o.wrong.Load() != 0 {
		t.Errorf("%d replies reached another's request", o.wrong.Load())
	}
	if o.right.Load() < int64(reads)/2 {
		t.Errorf("only %d of %d reads succeeded", o.right.Load(), reads)
	}
	for what, n := range map[string]int64{"cancellations": o.cancelled.Load(), "time-outs": o.timedOut.Load(),
		"resets": o.resets.Load(), "cuts": p.cuts.Load(), "hung connections": p.stalls.Load()} {
		if n < 5 {
			t.Errorf("only %d %s", n, what)
		}
	}
}

// TestTheCampaignNoticesSwappedReplies reads from a server that occasionally answers
// two commands in the wrong order.
func TestTheCampaignNoticesSwappedReplies(t *testing.T) {
	var swaps atomic.Int64
	value := func(cmd string) string { return bulk(valueOf(strings.TrimPrefix(cmd, "GET "))) }
	s := serve(t, func(p *peer) {
		for n := 1; ; n++ {
			cmd, ok := p.next()
			if !ok {
				return
			}
			if n%100 == 0 && p.in.Buffered() > 0 {
				if other, ok := p.next(); ok && other != cmd {
					swaps.Add(1)
					p.reply(value(other) + value(cmd))
					continue
				}
			}
			p.reply(value(cmd))
		}
	})
	c := open(t, pipeline.Options{Dial: to(s.addr)})
	o := readRandomly(t, c, 5000)
	if swaps.Load() == 0 {
		t.Fatal("the server swapped nothing")
	}
	if o.wrong.Load() == 0 {
		t.Errorf("%d swaps went unnoticed", swaps.Load())
	}
}

func BenchmarkDo(b *testing.B) {
	server := testservice.PrivateRedis(b)
	_, err := server.Do("SET", "key", strings.Repeat("v", 400))
	require.NoError(b, err)
	pool := &redis.Pool{MaxActive: 64, MaxIdle: 64, Wait: true, DialContext: to(server.Addr)}
	defer pool.Close()
	c := open(b, pipeline.Options{Dial: to(server.Addr)})
	through := func(get func() redis.Conn) func() error {
		return func() error {
			conn := get()
			defer conn.Close()
			_, err := conn.Do("GET", "key")
			return err
		}
	}
	for name, do := range map[string]func() error{
		"pipeline": func() error { _, err := c.Do("GET", "key"); return err },
		"handle":   through(func() redis.Conn { return c.Pool().Get() }),
		"pool":     through(pool.Get),
	} {
		b.Run(fmt.Sprintf("%s-64-goroutines", name), func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32) // 64 goroutines on 2 cores
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := do(); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
