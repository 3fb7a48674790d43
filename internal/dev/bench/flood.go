package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/visitor"
)

const (
	floodClients = 8 // that log in, each as a person of its own
	floodReaders = 8 // connections that ask for the greeting meanwhile: few enough to leave the machine time when no one logs in
)

// floodRound is one round without others, one with people who log in, and one
// with some who guess passwords.
type floodRound struct {
	quiet, flood, guessed load
	logIns                float64    // a second
	tries, hashed         float64    // guesses a second, and those that cost a hash
	memory                [3]float64 // of the server after each of them, in bytes
}

// measureFlood finds out what those who read pages notice of those who log in,
// which costs a password hash each.
func measureFlood(ctx context.Context, l *lab) (section, error) {
	reader, people, err := startFlooded(ctx, l)
	if err != nil {
		return section{}, err
	}
	// A server of its own: who has guessed is held up when logging in as well.
	target, _, err := startFlooded(ctx, l)
	if err != nil {
		return section{}, err
	}
	var rounds []floodRound
	for round := range l.rounds + 1 {
		var r floodRound
		asked := reader.page(l)
		asked.connections = floodReaders
		if r.quiet, err = l.wrk(ctx, asked); err != nil {
			return section{}, err
		}
		r.memory[0] = residentMemory(reader.run.PID())
		if r.flood, r.logIns, err = l.flood(ctx, asked, people, logInAt(reader.visitor)); err != nil {
			return section{}, err
		}
		r.memory[1] = residentMemory(reader.run.PID())
		var hashed atomic.Int64
		asked = target.page(l)
		asked.connections = floodReaders
		if r.guessed, r.tries, err = l.flood(ctx, asked, people, guessAt(target.visitor, &hashed)); err != nil {
			return section{}, err
		}
		r.hashed = float64(hashed.Load()) / l.length.Seconds()
		r.memory[2] = residentMemory(target.run.PID())
		if round > 0 { // the first warms up
			rounds = append(rounds, r)
		}
		l.say("  round %d of %d: p99 latency %s, with %.0f logins per second %s, with %.0f guesses per second %s",
			round, l.rounds, r.quiet.p99, r.logIns, r.flood.p99, r.tries, r.guessed.p99)
	}
	return floodSection(l.options, rounds), nil
}

// startFlooded starts a server with people who have an account.
func startFlooded(ctx context.Context, l *lab) (*contender, []visitor.Person, error) {
	c, err := startHoldfast(ctx, l, "off")
	if err != nil {
		return nil, nil, err
	}
	var people []visitor.Person
	for n := range floodClients {
		p := ada()
		p.Email = fmt.Sprintf("flood%d@example.org", n)
		if err := c.visitor.Stranger().Register(ctx, p); err != nil {
			return nil, nil, err
		}
		people = append(people, p)
	}
	return c, people, nil
}

// logInAt logs in from a new browser.
func logInAt(at *visitor.Visitor) func(context.Context, visitor.Person) error {
	return func(ctx context.Context, p visitor.Person) error {
		form := url.Values{"email": {p.Email}, "password": {p.Password}}
		if err := visitor.Sent(at.Stranger().Post(ctx, "/login", form)); err != nil {
			return fmt.Errorf("log in: %w", err)
		}
		return nil
	}
}

// guessAt tries a wrong password, and counts those that were not refused unread.
func guessAt(at *visitor.Visitor, hashed *atomic.Int64) func(context.Context, visitor.Person) error {
	return func(ctx context.Context, p visitor.Person) error {
		form := url.Values{"email": {p.Email}, "password": {"not " + p.Password}}
		got, err := at.Stranger().Post(ctx, "/login", form)
		switch {
		case err != nil:
			return fmt.Errorf("guess: %w", err)
		case got.Code == http.StatusUnprocessableEntity:
			hashed.Add(1)
		case got.Code != http.StatusTooManyRequests:
			return fmt.Errorf("guess: status %d", got.Code)
		}
		return nil
	}
}

// flood runs wrk while all people do the same repeatedly.
func (l *lab) flood(ctx context.Context, asked page, people []visitor.Person, do func(context.Context, visitor.Person) error) (seen load, perSecond float64, err error) {
	over, stop := context.WithCancel(ctx)
	defer stop()
	all, over := errgroup.WithContext(over)
	var done atomic.Int64
	for _, p := range people {
		all.Go(func() error {
			for over.Err() == nil {
				// The context of the whole: what was begun is finished.
				if err := do(ctx, p); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	began, before := time.Now(), done.Load()
	seen, err = l.wrk(ctx, asked)
	perSecond = float64(done.Load()-before) / time.Since(began).Seconds()
	stop()
	if failed := all.Wait(); failed != nil {
		err = failed
	}
	return seen, perSecond, err
}

func floodSection(o options, rounds []floodRound) section {
	var quiet, flood, guessed []load
	var logIns, tries, hashed []float64
	var memory [3][]float64
	for _, r := range rounds {
		quiet, flood, guessed = append(quiet, r.quiet), append(flood, r.flood), append(guessed, r.guessed)
		logIns, tries, hashed = append(logIns, r.logIns), append(tries, r.tries), append(hashed, r.hashed)
		for i := range memory {
			memory[i] = append(memory[i], r.memory[i])
		}
	}
	t := table{head: []string{"load", "median latency", "/ idle", "p99 latency", "/ idle", "range", "greetings per second", "memory"}}
	for i, row := range []struct {
		name  string
		loads []load
	}{
		{"idle", quiet},
		{fmt.Sprintf("%d clients log in (%.0f logins per second)", floodClients, spreadOf(logIns).median), flood},
		{fmt.Sprintf("%d clients guess passwords (%.0f attempts per second, %.1f hashed)", floodClients, spreadOf(tries).median, spreadOf(hashed).median), guessed},
	} {
		typical := spreadOf(ratios(figures(row.loads, load.wait), figures(quiet, load.wait)))
		long := spreadOf(ratios(figures(row.loads, load.longWait), figures(quiet, load.longWait)))
		t.row(row.name,
			milliseconds(spreadOf(figures(row.loads, load.wait)).median), fmt.Sprintf("%.1f times", typical.median),
			"**"+milliseconds(spreadOf(figures(row.loads, load.longWait)).median)+"**", fmt.Sprintf("**%.1f times**", long.median),
			fmt.Sprintf("%.1f to %.1f", long.least, long.most),
			fmt.Sprintf("%.0f", spreadOf(figures(row.loads, load.rate)).median),
			fmt.Sprintf("%.0f MB", spreadOf(memory[i]).median/1e6))
	}
	return section{
		title: "The greeting page during a login flood",
		text: fmt.Sprintf("Latency of the greeting page over %d keep-alive connections, while no one logs in and while %d clients log in "+
			"repeatedly. Each login costs an argon2id hash, the most CPU-intensive operation of the server. Password guessers use the same "+
			"form on a separate server, which rejects all but the first attempts with 429 without hashing. Memory is the server's resident "+
			"size after a round. %d rounds of %s each, in turn; ratios are computed within a round. All processes share the CPUs.", floodReaders, floodClients, o.rounds, o.length),
		tables: []table{t},
	}
}
