package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/launch"
	"holdfast/internal/visitor"
)

// contender is one server in the comparison of greetings.
type contender struct {
	name, what string
	run        *launch.Server
	visitor    *visitor.Visitor
	cookie     string // of the visitor's session
	loads      []load
	commands   map[string]int64 // what Redis did for countedViews greetings
}

// countedViews is how many greetings the commands are counted for.
const countedViews = 100

// measureGreeting compares what the page that greets a logged-in person costs.
func measureGreeting(ctx context.Context, l *lab) (section, error) {
	holdfast, err := startHoldfast(ctx, l, "off")
	if err != nil {
		return section{}, err
	}
	answer, err := keepAnswer(ctx, l, holdfast)
	if err != nil {
		return section{}, err
	}
	limit, err := startLimit(ctx, l, holdfast, answer, false)
	if err != nil {
		return section{}, err
	}
	pipelined, err := startLimit(ctx, l, holdfast, answer, true)
	if err != nil {
		return section{}, err
	}
	all := []*contender{limit, pipelined, holdfast}
	for _, idle := range []time.Duration{0, 24 * time.Hour} {
		stock, err := startStock(ctx, l, answer, idle)
		if err != nil {
			return section{}, err
		}
		all = append(all, stock)
	}
	learning, err := startHoldfast(ctx, l, "on")
	if err != nil {
		return section{}, err
	}
	all = append(all, learning)
	for _, c := range all {
		if err := c.count(ctx, l); err != nil {
			return section{}, err
		}
	}
	if err := l.race(ctx, all); err != nil {
		return section{}, err
	}
	return greetingSection(l.options, all), nil
}

func startHoldfast(ctx context.Context, l *lab, learn string) (*contender, error) {
	c := &contender{name: "Holdfast", what: "the complete `/profile`: request log, request id, all headers, and Holdfast's session handling"}
	if learn == "on" {
		c.name, c.what = "Holdfast, LEARN=on", "the same, while recording each request for `/explain`, as on a developer's machine"
	}
	if err := c.start(ctx, l, l.binary, serveArgs(), serverSettings(l.redis.URL, "LEARN="+learn)...); err != nil {
		return nil, err
	}
	return c, c.enter(ctx, func(ctx context.Context) error { return c.visitor.Register(ctx, ada()) })
}

// keepAnswer writes what Holdfast just sent into a file, for the other servers.
func keepAnswer(ctx context.Context, l *lab, holdfast *contender) (path string, err error) {
	sent, err := holdfast.visitor.Get(ctx, "/profile")
	if err != nil {
		return "", err
	}
	travelled, err := wire(sent)
	if err != nil {
		return "", err
	}
	path = filepath.Join(l.folder, "answer")
	return path, os.WriteFile(path, travelled, 0o600)
}

// startLimit has the bare server send those very bytes.
func startLimit(ctx context.Context, l *lab, holdfast *contender, answer string, pipelined bool) (*contender, error) {
	c := &contender{name: "The limit", what: "plain net/http: one GET per request through a redigo pool, then the same response bytes, prepared in advance"}
	if pipelined {
		c.name, c.what = "The pipelined limit", "the same, with all GETs on one connection through `internal/pipeline`"
	}
	err := c.startSelf(ctx, l, "limit", "-redis", l.redis.URL, "-key", visitor.Key(holdfast.visitor.Token()), "-answer", answer,
		fmt.Sprintf("-pipelined=%t", pipelined))
	c.cookie = holdfast.cookie
	return c, err
}

// wire is an answer as it travelled.
func wire(a visitor.Answer) ([]byte, error) {
	return httputil.DumpResponse(&http.Response{
		StatusCode: a.Code, ProtoMajor: 1, ProtoMinor: 1, Header: a.Header,
		ContentLength: int64(len(a.Body)), Body: io.NopCloser(bytes.NewReader(a.Body)),
	}, true)
}

func startStock(ctx context.Context, l *lab, answer string, idle time.Duration) (*contender, error) {
	c := &contender{name: "Echo and scs", what: "configured as their documentation shows: gob codec, redisstore, LoadAndSave, request logger; the same template"}
	if idle > 0 {
		c.name, c.what = "Echo and scs, IdleTimeout", "the same with `IdleTimeout` set"
	}
	if err := c.startSelf(ctx, l, "stock", "-redis", l.redis.URL, "-answer", answer, "-idle", idle.String()); err != nil {
		return nil, err
	}
	return c, c.enter(ctx, func(ctx context.Context) error {
		return visitor.Sent(c.visitor.Post(ctx, "/login", url.Values{"name": {ada().Name}}))
	})
}

// ada is the person whose page is asked for.
func ada() visitor.Person {
	return visitor.Person{Name: "Ada Lovelace", Email: "ada@example.org", Password: "nine kelp forests at dawn"}
}

// serveArgs have Holdfast end with this process.
func serveArgs() []string { return []string{"serve", "--stop-with-stdin"} }

// serverSettings are Holdfast's settings for a server that is measured: as in
// production, on a free port of this machine. Settings in more win.
func serverSettings(redisURL string, more ...string) []string {
	return append([]string{"HOST=127.0.0.1", "PORT=0", "LEARN=off", "LOG_FORMAT=json", "REDIS_URL=" + redisURL}, more...)
}

func (c *contender) startSelf(ctx context.Context, l *lab, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return c.start(ctx, l, self, args)
}

func (c *contender) start(ctx context.Context, l *lab, program string, args []string, env ...string) (err error) {
	if c.run, err = l.launch(ctx, program, args, env...); err != nil {
		return err
	}
	c.visitor = visitor.New(c.run.URL())
	return nil
}

// enter logs the visitor in and keeps the cookie for wrk.
func (c *contender) enter(ctx context.Context, logIn func(context.Context) error) error {
	if err := logIn(ctx); err != nil {
		return fmt.Errorf("log in at %s: %w", c.name, err)
	}
	c.cookie = c.visitor.Cookie()
	return c.greeted(ctx)
}

func (c *contender) greeted(ctx context.Context) error {
	if err := greeted(ctx, c.visitor); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

// greeted asks for the profile and is content with a greeting alone.
func greeted(ctx context.Context, v *visitor.Visitor) error {
	greeting, err := v.Greeting(ctx)
	if want := "Hello, " + ada().Name + "!"; err == nil && greeting != want {
		err = fmt.Errorf("the profile greets with %q, want %q", greeting, want)
	}
	return err
}

// page is the greeting as wrk asks for it.
func (c *contender) page(l *lab) page {
	return page{server: c.run, redis: l.redis, path: "/profile", cookie: c.cookie, connections: l.connections}
}

// count asks Redis which commands it runs for a greeting.
func (c *contender) count(ctx context.Context, l *lab) error {
	if _, err := l.redis.Do("CONFIG", "RESETSTAT"); err != nil {
		return err
	}
	for range countedViews {
		if err := c.greeted(ctx); err != nil {
			return err
		}
	}
	info, err := redis.String(l.redis.Do("INFO", "commandstats"))
	if err != nil {
		return err
	}
	c.commands = map[string]int64{}
	for line := range strings.Lines(info) {
		name, figures, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !ok || strings.HasPrefix(name, "config") {
			continue
		}
		calls, _, _ := strings.Cut(figures, ",")
		var n int64
		if _, err := fmt.Sscan(calls, &n); err != nil {
			return fmt.Errorf("read %q: %w", line, err)
		}
		c.commands[strings.ToUpper(name)] = n
	}
	return nil
}

// race has the servers take turns, each once a round, after one round to warm
// up. Each round begins with another server.
func (l *lab) race(ctx context.Context, all []*contender) error {
	for round := range l.rounds + 1 {
		for turn := range all {
			c := all[(round+turn)%len(all)]
			seen, err := l.wrk(ctx, c.page(l))
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if err := c.greeted(ctx); err != nil {
				return err
			}
			if round > 0 {
				c.loads = append(c.loads, seen)
			}
			l.say("  round %d of %d: %-26s %6.0f per second, %3.0f µs of CPU time each, %4.1f of Redis", round, l.rounds, c.name, seen.perSecond, seen.cpu*1e6, seen.redis*1e6)
		}
	}
	return nil
}

func (c *contender) figures(of func(load) float64) []float64 { return figures(c.loads, of) }

func greetingSection(o options, all []*contender) section {
	limit, pipelined, holdfast := all[0], all[1], all[2]
	speed := table{head: []string{"server", "throughput / limit", "range", "throughput / pipelined limit", "Holdfast / this", "range", "median latency", "p99 latency", "bytes per response"}}
	cost := table{head: []string{"server", "CPU time per response", "/ limit", "range", "Redis CPU time", "Redis commands per view"}}
	for _, c := range all {
		ofLimit := spreadOf(ratios(c.figures(load.rate), limit.figures(load.rate)))
		ofPipelined := spreadOf(ratios(c.figures(load.rate), pipelined.figures(load.rate)))
		against := spreadOf(ratios(holdfast.figures(load.rate), c.figures(load.rate)))
		speed.row(c.name,
			fmt.Sprintf("**%.2f**", ofLimit.median), fmt.Sprintf("%.2f to %.2f", ofLimit.least, ofLimit.most),
			fmt.Sprintf("%.2f", ofPipelined.median),
			fmt.Sprintf("%.2f times", against.median), fmt.Sprintf("%.2f to %.2f", against.least, against.most),
			milliseconds(spreadOf(c.figures(load.wait)).median),
			milliseconds(spreadOf(c.figures(load.longWait)).median),
			fmt.Sprintf("%.0f", spreadOf(c.figures(load.size)).median))
		cpu := spreadOf(ratios(c.figures(load.serverCPU), limit.figures(load.serverCPU)))
		cost.row(c.name,
			microseconds(spreadOf(c.figures(load.serverCPU)).median),
			fmt.Sprintf("**%.2f times**", cpu.median), fmt.Sprintf("%.2f to %.2f", cpu.least, cpu.most),
			microseconds(spreadOf(c.figures(load.redisCPU)).median),
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
