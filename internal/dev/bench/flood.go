package main

import (
	"context"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/learn/visitor"
)

const (
	floodClients = 8 // that log in, each as a person of its own
	floodReaders = 8 // connections that ask for the greeting meanwhile: few enough to leave the machine time when nobody logs in
)

// floodRound is one round without and one with people who log in.
type floodRound struct {
	quiet, flood load
	logIns       float64 // a second
}

// measureFlood finds out what those who read pages notice of those who log in,
// which costs a password hash each.
func measureFlood(ctx context.Context, l *lab) (section, error) {
	reader, err := startHoldfast(ctx, l, "off")
	if err != nil {
		return section{}, err
	}
	var people []visitor.Person
	for n := range floodClients {
		p := ada()
		p.Email = fmt.Sprintf("flood%d@example.org", n)
		if err := reader.visitor.Stranger().Register(ctx, p); err != nil {
			return section{}, err
		}
		people = append(people, p)
	}
	var rounds []floodRound
	for round := range l.rounds + 1 {
		var r floodRound
		asked := reader.page(l)
		asked.connections = floodReaders
		if r.quiet, err = l.wrk(ctx, asked); err != nil {
			return section{}, err
		}
		if r.flood, r.logIns, err = l.flood(ctx, asked, reader.visitor, people); err != nil {
			return section{}, err
		}
		if round > 0 { // the first warms up
			rounds = append(rounds, r)
		}
		l.say("  round %d of %d: 99 %% within %s, while %.0f a second log in %s", round, l.rounds, r.quiet.p99, r.logIns, r.flood.p99)
	}
	return floodSection(l.options, rounds), nil
}

// flood is wrk while everybody logs in again and again.
func (l *lab) flood(ctx context.Context, asked page, at *visitor.Visitor, people []visitor.Person) (seen load, logIns float64, err error) {
	over, stop := context.WithCancel(ctx)
	defer stop()
	all, over := errgroup.WithContext(over)
	var done atomic.Int64
	for _, p := range people {
		all.Go(func() error {
			for over.Err() == nil {
				form := url.Values{"email": {p.Email}, "password": {p.Password}}
				// The context of the whole: a log-in that was begun is finished.
				if err := visitor.Sent(at.Stranger().Post(ctx, "/login", form)); err != nil {
					return fmt.Errorf("log in: %w", err)
				}
				done.Add(1)
			}
			return nil
		})
	}
	began, before := time.Now(), done.Load()
	seen, err = l.wrk(ctx, asked)
	logIns = float64(done.Load()-before) / time.Since(began).Seconds()
	stop()
	if failed := all.Wait(); failed != nil {
		err = failed
	}
	return seen, logIns, err
}

func floodSection(o options, rounds []floodRound) section {
	var quiet, flood []load
	var logIns []float64
	for _, r := range rounds {
		quiet, flood, logIns = append(quiet, r.quiet), append(flood, r.flood), append(logIns, r.logIns)
	}
	t := table{head: []string{"meanwhile", "median wait", "of quiet", "99 % within", "of quiet", "least to most", "greetings a second"}}
	for _, row := range []struct {
		name  string
		loads []load
	}{
		{"nobody logs in", quiet},
		{fmt.Sprintf("%d clients log in, %.0f log-ins a second", floodClients, spreadOf(logIns).median), flood},
	} {
		typical := spreadOf(ratios(figures(row.loads, load.wait), figures(quiet, load.wait)))
		long := spreadOf(ratios(figures(row.loads, load.longWait), figures(quiet, load.longWait)))
		t.row(row.name,
			milliseconds(spreadOf(figures(row.loads, load.wait)).median), fmt.Sprintf("%.1f times", typical.median),
			"**"+milliseconds(spreadOf(figures(row.loads, load.longWait)).median)+"**", fmt.Sprintf("**%.1f times**", long.median),
			fmt.Sprintf("%.1f to %.1f", long.least, long.most),
			fmt.Sprintf("%.0f", spreadOf(figures(row.loads, load.rate)).median))
	}
	return section{
		title: "A greeting while others log in",
		text: fmt.Sprintf("How long the greeting takes over %d kept-alive connections while nobody logs in, and while %d clients do, "+
			"each again as soon as it is let in: every log-in costs a password hash (argon2id), and hashes are what a server runs out of "+
			"processors for. %d rounds of %s of each, taking turns; a ratio is taken within a round. The clients that log in, "+
			"wrk, Redis and the server share the processors.", floodReaders, floodClients, o.rounds, o.length),
		tables: []table{t},
	}
}
