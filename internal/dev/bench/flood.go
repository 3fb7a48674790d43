package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/dev/require"
	"holdfast/internal/visitor"
)

const (
	floodClients = 8 // clients that log in, each as a different person
	floodReaders = 8 // connections that request the greeting meanwhile: few enough to leave CPU time if no one logs in
)

// flood is what some clients do repeatedly while others request the greeting.
type flood struct {
	at     *contender
	do     func(visitor.Person) error // nil if they do nothing
	hashed atomic.Int64               // wrong passwords that were checked in this round
	loads  []load
	// For each round: what they did and hashed per second, and the memory of the server
	// after it, in bytes.
	perSecond, hashes, memory []float64
}

// measureFlood measures how logins, which cost a password hash each, affect people who
// read pages.
func measureFlood(l *lab) section {
	people := make([]visitor.Person, floodClients)
	for n := range people {
		people[n] = ada()
		people[n].Email = fmt.Sprintf("flood%d@example.org", n)
	}
	reader := l.startFlooded(people)
	// A separate server: a client that has guessed must wait when it logs in as well.
	target := l.startFlooded(people)
	idle, logins, guesses := &flood{at: reader}, &flood{at: reader}, &flood{at: target}
	logins.do = func(p visitor.Person) error {
		return visitor.Sent(postLogin(l.ctx, reader, p.Email, p.Password))
	}
	guesses.do = func(p visitor.Person) error {
		got, err := postLogin(l.ctx, target, p.Email, "not "+p.Password)
		if got.Code == http.StatusUnprocessableEntity {
			guesses.hashed.Add(1)
		} else if err == nil && got.Code != http.StatusTooManyRequests {
			err = fmt.Errorf("guess: status %d", got.Code)
		}
		return err
	}
	all := []*flood{idle, logins, guesses}
	for round := range l.rounds + 1 {
		for _, f := range all {
			l.flood(f, people, round > 0) // the first round warms up
		}
		l.say("  round %d of %d", round, l.rounds)
	}
	return floodSection(l.options, all)
}

// startFlooded starts a server on which people have accounts.
func (l *lab) startFlooded(people []visitor.Person) *contender {
	c := l.startHoldfast("off")
	for _, p := range people {
		require.NoError(l, c.visitor.Stranger().Register(l.ctx, p))
	}
	return c
}

// postLogin tries to log in from a new browser.
func postLogin(ctx context.Context, c *contender, email, password string) (visitor.Answer, error) {
	return c.visitor.Stranger().Post(ctx, "/login", url.Values{"email": {email}, "password": {password}})
}

// flood runs wrk while all people repeat f.do, and keeps the results if keep is set.
func (l *lab) flood(f *flood, people []visitor.Person, keep bool) {
	running, stop := context.WithCancel(l.ctx)
	defer stop()
	all, running := errgroup.WithContext(running)
	var done atomic.Int64
	f.hashed.Store(0)
	if f.do == nil {
		people = nil
	}
	for _, p := range people {
		all.Go(func() error {
			for running.Err() == nil { // finishes what it has begun
				if err := f.do(p); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	began, before := time.Now(), done.Load()
	seen := l.wrk(f.at, floodReaders)
	perSecond := float64(done.Load()-before) / time.Since(began).Seconds()
	stop()
	require.NoError(l, all.Wait())
	if keep {
		f.loads = append(f.loads, seen)
		f.perSecond = append(f.perSecond, perSecond)
		f.hashes = append(f.hashes, float64(f.hashed.Load())/l.length.Seconds())
		f.memory = append(f.memory, residentMemory(f.at.run.PID()))
	}
}

func floodSection(o options, all []*flood) section {
	idle, logins, guesses := all[0], all[1], all[2]
	names := []string{
		"idle",
		fmt.Sprintf("%d clients log in (%.0f logins per second)", floodClients, spreadOf(logins.perSecond).median),
		fmt.Sprintf("%d clients guess passwords (%.0f attempts per second, %.1f hashed)",
			floodClients, spreadOf(guesses.perSecond).median, spreadOf(guesses.hashes).median),
	}
	t := table{head: []string{"load", "median latency", "/ idle", "p99 latency", "/ idle", "range", "greetings per second", "memory"}}
	for i, f := range all {
		long := compared(f.loads, idle.loads, load.longWait)
		t.row(names[i],
			milliseconds(median(f.loads, load.wait)), fmt.Sprintf("%.1f times", compared(f.loads, idle.loads, load.wait).median),
			"**"+milliseconds(median(f.loads, load.longWait))+"**", fmt.Sprintf("**%.1f times**", long.median),
			fmt.Sprintf("%.1f to %.1f", long.least, long.most),
			fmt.Sprintf("%.0f", median(f.loads, load.rate)),
			fmt.Sprintf("%.0f MB", spreadOf(f.memory).median/1e6))
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
