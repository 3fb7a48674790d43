package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

// contender is one server in the comparison of greetings.
type contender struct {
	name, what string
	run        *process
	visitor    *visitor
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
	limit, err := startLimit(ctx, l, holdfast)
	if err != nil {
		return section{}, err
	}
	all := []*contender{limit, holdfast}
	for _, idle := range []time.Duration{0, 24 * time.Hour} {
		stock, err := startStock(ctx, l, idle)
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
	c := &contender{name: "Holdfast", what: "the whole of `/profile`: request log, request id, all headers, its own session guard"}
	if learn == "on" {
		c.name, c.what = "Holdfast, LEARN=on", "the same while it keeps what `/explain` shows of each request, as it does on the machine of somebody who tries it"
	}
	if err := c.start(ctx, l, l.binary, nil, serverSettings(l.redis.URL, "LEARN="+learn)...); err != nil {
		return nil, err
	}
	return c, c.enter(ctx, c.visitor.register)
}

// startLimit has the bare server send the very bytes that Holdfast just sent.
func startLimit(ctx context.Context, l *lab, holdfast *contender) (*contender, error) {
	_, wire, err := holdfast.visitor.get(ctx, "/profile", nil)
	if err != nil {
		return nil, err
	}
	answer := filepath.Join(l.folder, "answer")
	if err := os.WriteFile(answer, wire, 0o600); err != nil {
		return nil, err
	}
	c := &contender{name: "The limit", what: "bare net/http: one GET through redigo, and the same bytes, made beforehand"}
	_, token, _ := strings.Cut(holdfast.cookie, "=")
	err = c.startSelf(ctx, l, "limit", "-redis", l.redis.URL, "-key", redisKey(token), "-answer", answer)
	c.cookie = holdfast.cookie
	return c, err
}

func startStock(ctx context.Context, l *lab, idle time.Duration) (*contender, error) {
	c := &contender{name: "Echo and scs", what: "as their manuals say: gob codec, redisstore, LoadAndSave, request logger; the same template"}
	if idle > 0 {
		c.name, c.what = "Echo and scs, IdleTimeout", "the same with `IdleTimeout` set"
	}
	if err := c.startSelf(ctx, l, "stock", "-redis", l.redis.URL, "-idle", idle.String()); err != nil {
		return nil, err
	}
	return c, c.enter(ctx, func(ctx context.Context) error {
		return c.visitor.send(ctx, "/login", map[string]string{"name": visitorName})
	})
}

// serverSettings are Holdfast's settings for a server that is measured: as in
// production, on a free port of this machine. What stands in more wins.
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
	c.visitor, err = newVisitor(c.run.url)
	return err
}

// enter logs the visitor in and keeps the cookie for wrk.
func (c *contender) enter(ctx context.Context, logIn func(context.Context) error) error {
	if err := logIn(ctx); err != nil {
		return fmt.Errorf("log in at %s: %w", c.name, err)
	}
	c.cookie = c.visitor.cookie()
	return c.greeted(ctx)
}

func (c *contender) greeted(ctx context.Context) error {
	if err := c.visitor.greeted(ctx); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
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
			seen, err := l.wrk(ctx, c.run, "/profile", c.cookie)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if err := c.greeted(ctx); err != nil {
				return err
			}
			if round > 0 {
				c.loads = append(c.loads, seen)
			}
			l.say("  round %d of %d: %-26s %6.0f a second, %3.0f µs of processor time each", round, l.rounds, c.name, seen.perSecond, seen.busy*1e6)
		}
	}
	return nil
}

func (c *contender) figures(of func(load) float64) []float64 { return figures(c.loads, of) }

func greetingSection(o options, all []*contender) section {
	limit, holdfast := all[0], all[1]
	race := table{head: []string{"server", "of the limit", "least to most", "Holdfast against it", "least to most", "median wait", "99 % within", "processor time an answer", "bytes an answer"}}
	commands := table{head: []string{"server", "Redis commands a view"}}
	for _, c := range all {
		ofLimit := spreadOf(ratios(c.figures(load.rate), limit.figures(load.rate)))
		against := spreadOf(ratios(holdfast.figures(load.rate), c.figures(load.rate)))
		race.row(c.name,
			fmt.Sprintf("**%.2f**", ofLimit.median), fmt.Sprintf("%.2f to %.2f", ofLimit.least, ofLimit.most),
			fmt.Sprintf("%.2f times", against.median), fmt.Sprintf("%.2f to %.2f", against.least, against.most),
			milliseconds(spreadOf(c.figures(load.wait)).median),
			milliseconds(spreadOf(c.figures(load.longWait)).median),
			fmt.Sprintf("%.0f µs", 1e6*spreadOf(c.figures(load.processor)).median),
			fmt.Sprintf("%.0f", spreadOf(c.figures(load.size)).median))
		commands.row(c.name, c.commandWords())
	}
	s := section{
		title: "A greeting",
		text: fmt.Sprintf("The page that greets a logged-in person by name, asked for by wrk over %d kept-alive connections: "+
			"%d rounds of %s of each server, taking turns. Each server is a process of its own; all use the same Redis. "+
			"A ratio is taken within a round, and what stands here is the median of the rounds. "+
			"The processor time is that of the server alone.", o.connections, o.rounds, o.length),
		tables: []table{race, commands},
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

func milliseconds(seconds float64) string {
	if seconds < 0.1 {
		return fmt.Sprintf("%.1f ms", seconds*1000)
	}
	return fmt.Sprintf("%.0f ms", seconds*1000)
}
