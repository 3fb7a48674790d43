package attack

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/internal/embeddedredis"
)

const (
	standstill = embeddedredis.MaxPause
	// patience is how long a person waits for a page before it counts as hung.
	patience = 3 * time.Second
	// pace is the least time between two requests during the pause.
	pace = 200 * time.Millisecond
)

// outage pauses the Redis of all targets while their victims load pages.
func outage(ctx context.Context, server *embeddedredis.Server, targets []*target) []Trial {
	tokens, trials := make([]string, len(targets)), make([]Trial, len(targets))
	for i, t := range targets {
		tokens[i] = t.known(ctx, "The victim logs in.")
	}
	over := server.Pause(standstill)
	var all sync.WaitGroup
	for i, t := range targets {
		all.Go(func() { trials[i] = t.trial(t.through(ctx, tokens[i], over)) })
	}
	all.Wait()
	<-over // so that Redis answers the next request
	return trials
}

// through loads pages until Redis answers again, and then one more.
func (t *target) through(ctx context.Context, token string, over <-chan struct{}) (won bool, facts string) {
	answers := waited{}
	touched, out := false, false
	note := "Redis does not answer. The victim loads a page."
	for standing := true; standing && t.failed() == nil; {
		a := t.get(ctx, note, "/profile", token)
		note = ""
		answers[a.Code] = append(answers[a.Code], a.Took)
		touched = touched || a.touched
		out = out || a.Code == http.StatusSeeOther
		select {
		case <-over:
			standing = false
		case <-ctx.Done():
			t.fail(ctx.Err())
		case <-time.After(pace):
		}
	}
	a := t.get(ctx, "Redis answers again. The victim loads the next page.", "/profile", token)
	// The server trusts Redis again after its next heartbeat.
	for since := time.Now(); a.Code == http.StatusServiceUnavailable && time.Since(since) < patience; {
		time.Sleep(pace)
		a = t.get(ctx, "", "/profile", token)
	}
	facts = fmt.Sprintf("Redis did not answer for %.0f seconds. In that time %s. The cookie was %s. Afterwards the victim was %s.",
		standstill.Seconds(), answers.words(), choose(touched, "changed", "left alone"), choose(a.greeted(), "recognised again", "not recognised"))
	return touched || out || answers.slowest() > patience || !a.greeted(), facts
}

// waited is how long each page took, by its status.
type waited map[int][]time.Duration

func (w waited) slowest() time.Duration {
	var slowest time.Duration
	for _, took := range w {
		slowest = max(slowest, slices.Max(took))
	}
	return slowest
}

// words lists refused requests first. A page with status 200 had waited for Redis:
// the server cannot recognise its sender without it.
func (w waited) words() string {
	var words []string
	for _, status := range slices.Backward(slices.Sorted(maps.Keys(w))) {
		n, most := len(w[status]), slices.Max(w[status]).Seconds()
		if status == http.StatusOK {
			words = append(words, fmt.Sprintf("%d %s still waiting when Redis came back and got %d after %.1f s", n, choose(n == 1, "request was", "requests were"), status, most))
			continue
		}
		words = append(words, fmt.Sprintf("%d %s got %d within %.1f s", n, choose(n == 1, "request", "requests"), status, most))
	}
	return strings.Join(words, "; ")
}

func choose(first bool, yes, no string) string {
	if first {
		return yes
	}
	return no
}
