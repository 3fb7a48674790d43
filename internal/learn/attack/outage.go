package attack

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"holdfast/internal/embeddedredis"
)

const (
	standstill = embeddedredis.MaxStandStill
	// patience is how long a person waits for a page before it counts as hung.
	patience = 3 * time.Second
	// pace is the least time between two requests meanwhile.
	pace = 200 * time.Millisecond
)

// outage has Redis stand still under both servers at once, while their victims
// load pages.
func outage(ctx context.Context, server *embeddedredis.Server, here, there *target) (Trial, Trial) {
	targets := []*target{here, there}
	tokens, errs := make([]string, 2), make([]error, 2)
	for i, t := range targets {
		if t != nil {
			tokens[i], errs[i] = t.known(ctx, "The victim logs in.", "")
		}
	}
	over := server.StandStill(standstill)
	won, facts := make([]bool, 2), make([]string, 2)
	var all sync.WaitGroup
	for i, t := range targets {
		if t == nil || errs[i] != nil {
			continue
		}
		all.Go(func() { won[i], facts[i], errs[i] = t.through(ctx, tokens[i], over) })
	}
	all.Wait()
	<-over // whoever comes next finds Redis answering
	a, _ := find("outage")
	trial := here.trial(won[0], facts[0], errs[0], a.Holds, mustNotBe)
	if there == nil {
		return trial, Trial{}
	}
	return trial, there.trial(won[1], facts[1], errs[1], a.stockHolds, a.stockFalls)
}

// through loads pages until Redis answers again, and one more.
func (t *target) through(ctx context.Context, token string, over <-chan struct{}) (won bool, facts string, err error) {
	answers := map[int]int{}
	var slowest time.Duration
	touched, out := false, false
	note := "Redis does not answer. The victim loads a page."
	for standing := true; standing; {
		a, err := t.get(ctx, note, "/profile", token)
		if err != nil {
			return false, "", err
		}
		note = ""
		answers[a.status]++
		slowest = max(slowest, a.took)
		touched = touched || a.touched
		out = out || a.status == http.StatusSeeOther
		select {
		case <-over:
			standing = false
		case <-ctx.Done():
			return false, "", ctx.Err()
		case <-time.After(pace):
		}
	}
	a, err := t.get(ctx, "Redis answers again. The victim loads the next page.", "/profile", token)
	if err != nil {
		return false, "", err
	}
	facts = fmt.Sprintf("Redis did not answer for %.0f seconds. Meanwhile the answers were %s%s, the slowest after %.1f s; the cookie was %s. Afterwards the victim was %s.",
		standstill.Seconds(), counted(answers), choose(answers[http.StatusOK] > 0, " (still waiting when Redis came back)", ""), slowest.Seconds(), choose(touched, "changed", "left alone"), choose(a.greeted(), "greeted again", "no longer known"))
	return touched || out || slowest > patience || !a.greeted(), facts, nil
}

func choose(first bool, yes, no string) string {
	if first {
		return yes
	}
	return no
}
