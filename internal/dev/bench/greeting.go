package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/launch"
	"holdfast/internal/visitor"
)

// contender is one server in a comparison.
type contender struct {
	name, what string
	run        *launch.Server
	redis      *testservice.RedisServer
	visitor    *visitor.Visitor
	path       string // of the page to request
	cookie     string // of the visitor's session
	loads      []load
	commands   map[string]int64 // commands that Redis ran for countedViews greetings
}

// countedViews is the number of greetings for which Redis commands are counted.
const countedViews = 100

// measureGreeting compares the cost of the page that greets a logged-in person.
func measureGreeting(l *lab) section {
	holdfast := l.startHoldfast("off")
	sent, err := holdfast.visitor.Get(l.ctx, "/profile")
	require.NoError(l, err)
	work := job{Redis: l.redis.URL, Header: sent.Header, Body: sent.Body, Key: visitor.Key(holdfast.visitor.Token())}
	all := []*contender{
		l.startLimit(work, holdfast.cookie, false), l.startLimit(work, holdfast.cookie, true), holdfast,
		l.startStock(work, 0), l.startStock(work, 24*time.Hour), l.startHoldfast("on"),
	}
	for _, c := range all {
		l.count(c)
	}
	l.race(all)
	return greetingSection(l.options, all)
}

func (l *lab) startHoldfast(learn string) *contender {
	c := &contender{name: "Holdfast", what: "the complete `/profile`: request log, request id, all headers, and Holdfast's session handling"}
	if learn == "on" {
		c.name, c.what = "Holdfast, LEARN=on", "the same, while recording each request for `/explain`, as on a developer's machine"
	}
	l.start(c, l.binary, serveArgs(), serverSettings(l.redis.URL, "LEARN="+learn)...)
	require.NoError(l, c.visitor.Register(l.ctx, ada()))
	l.entered(c)
	return c
}

// startLimit starts the bare server, which sends exactly the same bytes as Holdfast.
func (l *lab) startLimit(work job, cookie string, pipelined bool) *contender {
	c := &contender{name: "The limit", what: "plain net/http: one GET per request through a redigo pool, then the same response bytes, prepared in advance"}
	if pipelined {
		c.name, c.what = "The pipelined limit", "the same, with all GETs on one connection through `internal/pipeline`"
	}
	work.Pipelined = pipelined
	l.startSelf(c, "limit", work)
	c.cookie = cookie
	return c
}

func (l *lab) startStock(work job, idle time.Duration) *contender {
	c := &contender{name: "Echo and scs", what: "configured as their documentation shows: gob codec, redisstore, LoadAndSave, request logger; the same template"}
	if idle > 0 {
		c.name, c.what = "Echo and scs, IdleTimeout", "the same with `IdleTimeout` set"
	}
	work.Idle = idle
	l.startSelf(c, "stock", work)
	require.NoError(l, visitor.Sent(c.visitor.Post(l.ctx, "/login", url.Values{"name": {ada().Name}})))
	l.entered(c)
	return c
}

// ada is the person whose page is requested.
func ada() visitor.Person {
	return visitor.Person{Name: "Ada Lovelace", Email: "ada@example.org", Password: "nine kelp forests at dawn"}
}

// serveArgs make Holdfast stop when this process ends.
func serveArgs() []string { return []string{"serve", "--stop-with-stdin"} }

// serverSettings returns Holdfast's settings for a server that is measured: as in
// production, on a free port of this machine. Settings in more take precedence.
func serverSettings(redisURL string, more ...string) []string {
	return append([]string{"HOST=127.0.0.1", "PORT=0", "LEARN=off", "LOG_FORMAT=json", "REDIS_URL=" + redisURL}, more...)
}

// startSelf starts this program as one of the other servers.
func (l *lab) startSelf(c *contender, as string, work job) {
	self, err := os.Executable()
	require.NoError(l, err)
	text, err := json.Marshal(work)
	require.NoError(l, err)
	file := filepath.Join(l.TempDir(), "job")
	require.NoError(l, os.WriteFile(file, text, 0o600))
	l.start(c, self, []string{as, file})
}

// start starts the server of c, with the Redis of the lab unless c has another one.
func (l *lab) start(c *contender, program string, args []string, env ...string) {
	if c.redis == nil {
		c.redis, c.path = l.redis, "/profile"
	}
	c.run = l.launch(program, args, env...)
	c.visitor = visitor.New(c.run.URL())
}

// entered keeps the cookie of a visitor who has logged in.
func (l *lab) entered(c *contender) {
	c.cookie = c.visitor.Cookie()
	l.greeted(c.visitor)
}

// greeted requests the profile and checks only its greeting.
func (l *lab) greeted(v *visitor.Visitor) {
	greeting, err := v.Greeting(l.ctx)
	require.NoError(l, err)
	if want := "Hello, " + ada().Name + "!"; greeting != want {
		l.Fatalf("the profile at %s greets with %q, want %q", v.Base, greeting, want)
	}
}

// count counts the commands that Redis runs for greetings.
func (l *lab) count(c *contender) {
	_, err := l.redis.Do("CONFIG", "RESETSTAT")
	require.NoError(l, err)
	for range countedViews {
		l.greeted(c.visitor)
	}
	info, err := redis.String(l.redis.Do("INFO", "commandstats"))
	require.NoError(l, err)
	c.commands = map[string]int64{}
	for line := range strings.Lines(info) {
		name, figures, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !ok || strings.HasPrefix(name, "config") {
			continue
		}
		var n int64
		_, err := fmt.Sscan(figures, &n) // up to the comma
		require.NoError(l, err)
		c.commands[strings.ToUpper(name)] = n
	}
}

// race measures the servers in turn, each once per round, after one round to warm up.
// Each round begins with a different server.
func (l *lab) race(all []*contender) {
	for round := range l.rounds + 1 {
		for turn := range all {
			c := all[(round+turn)%len(all)]
			seen := l.wrk(c, l.connections)
			l.greeted(c.visitor)
			if round > 0 {
				c.loads = append(c.loads, seen)
			}
			l.say("  round %d of %d: %-26s %6.0f per second, %3.0f µs of CPU time each, %4.1f of Redis",
				round, l.rounds, c.name, seen.perSecond, seen.cpu*1e6, seen.redis*1e6)
		}
	}
}

func greetingSection(o options, all []*contender) section {
	limit, pipelined, holdfast := all[0], all[1], all[2]
	speed := table{head: []string{"server", "throughput / limit", "range", "throughput / pipelined limit", "Holdfast / this", "range", "median latency", "p99 latency", "bytes per response"}}
	cost := table{head: []string{"server", "CPU time per response", "/ limit", "range", "Redis CPU time", "Redis commands per view"}}
	for _, c := range all {
		ofLimit := compared(c.loads, limit.loads, load.rate)
		ofPipelined := compared(c.loads, pipelined.loads, load.rate)
		against := compared(holdfast.loads, c.loads, load.rate)
		speed.row(c.name,
			fmt.Sprintf("**%.2f**", ofLimit.median), fmt.Sprintf("%.2f to %.2f", ofLimit.least, ofLimit.most),
			fmt.Sprintf("%.2f", ofPipelined.median),
			fmt.Sprintf("%.2f times", against.median), fmt.Sprintf("%.2f to %.2f", against.least, against.most),
			milliseconds(median(c.loads, load.wait)),
			milliseconds(median(c.loads, load.longWait)),
			fmt.Sprintf("%.0f", median(c.loads, load.size)))
		cpu := compared(c.loads, limit.loads, load.serverCPU)
		cost.row(c.name,
			microseconds(median(c.loads, load.serverCPU)),
			fmt.Sprintf("**%.2f times**", cpu.median), fmt.Sprintf("%.2f to %.2f", cpu.least, cpu.most),
			microseconds(median(c.loads, load.redisCPU)),
			c.commandWords())
	}
	s := section{
		title: "The greeting page",
		text: fmt.Sprintf("wrk requests the page that greets a logged-in user by name over %d keep-alive connections, "+
			"for %d rounds of %s per server in turn. Each server is a separate process, and all use the same Redis. "+
			"Ratios are computed within a round; the tables show the median over the rounds. "+
			"CPU time is user plus system time of the server process, with Redis listed separately. On a shared machine "+
			"it varies less than throughput.", o.connections, o.rounds, o.length),
		tables: []table{speed, cost},
	}
	for _, c := range all {
		s.notes = append(s.notes, fmt.Sprintf("%s: %s.", c.name, c.what))
	}
	return s
}

func (c *contender) commandWords() string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(c.commands)) {
		words = append(words, fmt.Sprintf("%.2f %s", float64(c.commands[name])/countedViews, name))
	}
	return strings.Join(words, ", ")
}

func microseconds(seconds float64) string { return fmt.Sprintf("%.1f µs", seconds*1e6) }

func milliseconds(seconds float64) string {
	if seconds < 0.1 {
		return fmt.Sprintf("%.1f ms", seconds*1000)
	}
	return fmt.Sprintf("%.0f ms", seconds*1000)
}
