package main_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
)

// replicated is a Redis master with two replicas, watched by three Sentinels. All are
// configured as in docs/operations.md.
type replicated struct {
	t         testing.TB
	nodes     []*testservice.RedisServer
	sentinels []*testservice.RedisServer // only for commands
}

// replace replaces each old text in conf, which must occur once, with the new text after
// it.
func replace(t testing.TB, conf string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if n := strings.Count(conf, pairs[i]); n != 1 {
			t.Fatalf("the documented configuration has %q %d times", pairs[i], n)
		}
	}
	return strings.NewReplacer(pairs...).Replace(conf)
}

func newReplicated(t testing.TB) *replicated {
	t.Helper()
	const operator = "user operator on >operator allkeys allchannels +@all\n"
	conf := filepath.Join(t.TempDir(), "redis.conf")
	require.NoError(t, os.WriteFile(conf, []byte(documented(t, "redis")+documented(t, "redis-replicated")+operator), 0o600))
	r := &replicated{t: t}
	for i := range 3 {
		// The first node is promoted before the others, so a failback leads to it.
		// A node that is killed must have written what it has replicated. With everysec,
		// Redis holds writes back while a sync is slow.
		args := []string{"--include", conf, "--appendfsync", "no", "--repl-diskless-sync-delay", "0", "--replica-priority", strconv.Itoa(1 + i)}
		if i > 0 {
			host, port, _ := net.SplitHostPort(r.nodes[0].Addr)
			args = append(args, "--replicaof", host, port)
		}
		node := testservice.PrivateRedis(t, args...)
		node.URL = "redis://operator:operator@" + node.Addr
		r.nodes = append(r.nodes, node)
	}
	testkit.Eventually(t, answerLimit, "replicate", func() error { return leads(r.nodes[0], 2) })
	host, port, _ := net.SplitHostPort(r.nodes[0].Addr)
	for range 3 {
		addr := testservice.Sentinel(t, replace(t, documented(t, "sentinel"),
			"10.0.0.11 6379", host+" "+port,
			"down-after-milliseconds sessions 15000", "down-after-milliseconds sessions 2000",
			"failover-timeout sessions 60000", "failover-timeout sessions 5000",
		))
		sentinel := &testservice.RedisServer{URL: "redis://" + addr, Addr: addr}
		// How often it checks; the default is seconds.
		must(t, sentinel, "SENTINEL", "DEBUG", "INFO-PERIOD", 250, "PUBLISH-PERIOD", 250)
		r.sentinels = append(r.sentinels, sentinel)
	}
	testkit.Eventually(t, answerLimit, "know one another", func() error {
		for _, sentinel := range r.sentinels {
			if _, err := sentinel.Do("SENTINEL", "CKQUORUM", "sessions"); err != nil {
				return err
			}
			replicas, err := redis.Values(sentinel.Do("SENTINEL", "REPLICAS", "sessions"))
			if err == nil && len(replicas) != 2 {
				err = fmt.Errorf("%d replicas", len(replicas))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return r
}

// leads returns nil if node is a master with this many replicas that have all its data.
func leads(node *testservice.RedisServer, replicas int) error {
	conn, err := redis.DialURL(node.URL, redis.DialReadTimeout(5*time.Second))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Do("SET", "holdfast:session:none", "", "PX", 1); err != nil {
		return err
	}
	n, err := redis.Int(conn.Do("WAIT", replicas, 1000))
	if err == nil && n != replicas {
		err = fmt.Errorf("%d replicas have it", n)
	}
	return err
}

// master returns the node that all Sentinels take for the master. It returns an error
// unless that node is a master with this many replicas.
func (r *replicated) master(replicas int) (node *testservice.RedisServer, err error) {
	for _, sentinel := range r.sentinels {
		addr, err := redis.Strings(sentinel.Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "sessions"))
		if err != nil {
			return nil, err
		}
		at := net.JoinHostPort(addr[0], addr[1])
		if node != nil && node.Addr != at {
			return nil, errors.New("the Sentinels do not agree")
		}
		for _, candidate := range r.nodes {
			if candidate.Addr == at {
				node = candidate
			}
		}
	}
	return node, leads(node, replicas)
}

// known returns nil if all Sentinels take node for an up-to-date replica.
func (r *replicated) known(node *testservice.RedisServer) error {
	for _, sentinel := range r.sentinels {
		replicas, err := redis.Values(sentinel.Do("SENTINEL", "REPLICAS", "sessions"))
		if err != nil {
			return err
		}
		found := false
		for _, replica := range replicas {
			facts, err := redis.StringMap(replica, nil)
			if err != nil {
				return err
			}
			found = found || facts["name"] == node.Addr && facts["flags"] == "slave" && facts["role-reported"] == "slave" &&
				facts["master-link-status"] == "ok" && facts["slave-priority"] == "1"
		}
		if !found {
			return fmt.Errorf("the Sentinel at %s does not know the replica at %s", sentinel.Addr, node.Addr)
		}
	}
	return nil
}

// proxied runs the documented HAProxy in front of the nodes and returns its URL for a
// server.
func (r *replicated) proxied() string {
	r.t.Helper()
	addr := "127.0.0.1:" + strconv.Itoa(testservice.FreePort(r.t))
	testservice.HAProxy(r.t, replace(r.t, documented(r.t, "haproxy"),
		"127.0.0.1:6379", addr,
		"10.0.0.11:6379", r.nodes[0].Addr, "10.0.0.12:6379", r.nodes[1].Addr, "10.0.0.13:6379", r.nodes[2].Addr,
	), addr)
	// Before its first checks, HAProxy takes every node for a master.
	operator := &testservice.RedisServer{URL: "redis://operator:operator@" + addr}
	testkit.Eventually(r.t, answerLimit, "use the master alone", func() error {
		for range r.nodes {
			role, err := redis.Values(operator.Do("ROLE"))
			if err != nil {
				return err
			}
			if name, err := redis.String(role[0], nil); err != nil || name != "master" {
				return fmt.Errorf("led to a %s, %w", name, err)
			}
		}
		return nil
	})
	return "redis://holdfast:CHANGE-ME@" + addr + "/0"
}

// watch sends requests with the cookies of people who are logged in and of people who
// have logged out.
type watch struct {
	mu                sync.Mutex
	in                []*visitor
	out               map[*visitor]string // the cookie that each has stolen
	answered, refused atomic.Int64
}

func (w *watch) isIn(v ...*visitor) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.in = append(w.in, v...)
}

// isOut adds the cookie of a person who has logged out.
func (w *watch) isOut(thief *visitor) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out[thief] = thief.token()
}

// look sends one request with every cookie to one server. A 503 is not an error, but is
// counted.
func (w *watch) look(base string) error {
	w.mu.Lock()
	in, out := slices.Clone(w.in), maps.Clone(w.out)
	w.mu.Unlock()
	for _, v := range in {
		if err := w.see(v.at(base), "Hello, "+v.name+"!"); err != nil {
			return err
		}
	}
	for v, token := range out {
		thief := v.at(base)
		thief.Take(token)
		if err := w.see(thief, ""); err != nil {
			return err
		}
	}
	return nil
}

// see returns nil if a visitor is greeted with want, or is not greeted and want is "".
func (w *watch) see(v *visitor, want string) error {
	got, err := v.ask("GET", "/profile", nil)
	if err != nil {
		return err
	}
	switch {
	case got.Code == http.StatusServiceUnavailable:
		w.refused.Add(1)
		return nil
	case want == "" && got.Code == http.StatusSeeOther, got.Code == http.StatusOK && got.text("h1") == want:
		w.answered.Add(1)
		return nil
	}
	return fmt.Errorf("%s was answered %d, %q; want %q", v.email, got.Code, got.text("h1"), want)
}

// TestAFailoverBehindTheDocumentedProxyBringsNobodyBackAndLogsNobodyOut: all three
// Redis lose power just after a logout. The replicas come back without that logout, and
// one of them is promoted. Then the old master comes back, with sessions that have
// since been revoked, and is promoted again.
func TestAFailoverBehindTheDocumentedProxyBringsNobodyBackAndLogsNobodyOut(t *testing.T) {
	t.Parallel()
	r := newReplicated(t)
	old := r.nodes[0]
	database := testkit.Postgres(t)
	var servers []*testprocess.Server
	for range 2 {
		servers = append(servers, start(t, strict(testprocess.Settings{"REDIS_URL": r.proxied(), "DATABASE_URL": database.URL})))
	}
	w := &watch{out: map[*visitor]string{}}
	ada, lost, later, meanwhile := member(t, servers[0]), member(t, servers[0]), member(t, servers[0]), member(t, servers[0])
	thieves := map[*visitor]*visitor{}
	for _, v := range []*visitor{ada, lost, later, meanwhile} {
		thieves[v] = v.thief()
	}
	bea := member(t, servers[1])
	w.isIn(bea)
	testkit.Eventually(t, answerLimit, "have all sessions everywhere", func() error { return leads(old, 2) })

	var all errgroup.Group
	ctx, end := context.WithCancel(t.Context())
	for _, server := range servers {
		all.Go(func() error {
			for again := time.NewTicker(100 * time.Millisecond); ctx.Err() == nil; <-again.C {
				if err := w.look(server.URL); err != nil {
					return fmt.Errorf("at %s: %w", server.URL, err)
				}
			}
			return nil
		})
	}
	stop := sync.OnceFunc(func() {
		end()
		if err := all.Wait(); err != nil {
			t.Error(err)
		}
	})
	defer stop()
	logOut := func(v *visitor, server *testprocess.Server) {
		t.Helper()
		testkit.Eventually(t, answerLimit, "log out", func() error {
			got, err := v.at(server.URL).ask("POST", "/logout", url.Values{})
			if err == nil && got.Code != http.StatusSeeOther {
				err = fmt.Errorf("status %d", got.Code)
			}
			return err
		})
	}

	logOut(ada, servers[0])
	w.isOut(thieves[ada])

	for _, replica := range r.nodes[1:] {
		replica.Pause()
	}
	logOut(lost, servers[0])
	w.isOut(thieves[lost])
	for _, node := range r.nodes {
		node.Kill()
	}
	for _, replica := range r.nodes[1:] {
		replica.Start()
		mustHold(t, replica, thieves[lost])
		if n, err := redis.Int(replica.Do("EXISTS", "holdfast:beat")); n != 1 || err != nil {
			t.Errorf("the Redis at %s has no watermark (%v)", replica.Addr, err)
		}
	}
	replicated := func(replicas int) error {
		_, err := r.master(replicas)
		return err
	}
	testkit.Steadily(t, answerLimit, "promote a replica", func() error { return replicated(1) })
	steady(t, answerLimit, "after the fail-over", bea, servers...)
	staysAsked(t, answerLimit, "having logged out before the fail-over", thieves[lost], servers...)

	logOut(later, servers[1])
	w.isOut(thieves[later])
	cleo := member(t, servers[1])
	w.isIn(cleo)
	testkit.Eventually(t, answerLimit, "have the new session", func() error { return replicated(1) })
	old.Start()
	mustHold(t, old, thieves[later])
	testkit.Eventually(t, answerLimit, "make a replica of the old master", func() error {
		return errors.Join(replicated(2), r.known(old))
	})

	testkit.Eventually(t, answerLimit, "begin to fail back", func() error { // refused while what it knows of the replicas is old
		_, err := r.sentinels[0].Do("SENTINEL", "FAILOVER", "sessions")
		if err != nil && strings.Contains(err.Error(), "INPROG") {
			err = nil
		}
		return err
	})
	asked := time.Now()
	logOut(meanwhile, servers[0])
	testkit.Eventually(t, answerLimit, "fail back", func() error {
		now, err := r.master(2)
		if now != old && time.Since(asked) > answerLimit/4 {
			// On a slow machine, the Sentinels give up and start no other failover.
			_, _ = r.sentinels[0].Do("SENTINEL", "FAILOVER", "sessions") // refused while one is under way
			asked = time.Now()
		}
		if err == nil && now != old {
			err = fmt.Errorf("the master is %s", now.Addr)
		}
		return err
	})
	steady(t, answerLimit, "after the fail-back", bea, servers...)
	w.isOut(thieves[meanwhile])
	steady(t, answerLimit, "having logged in at the master in between", cleo, servers...)
	for _, server := range servers {
		if err := w.look(server.URL); err != nil {
			t.Error(err)
		}
	}
	stop()
	t.Logf("answers: %d that said who is in, %d that nothing can be said", w.answered.Load(), w.refused.Load())
	if w.refused.Load() == 0 {
		t.Error("no fail-over was noticed")
	}
}
