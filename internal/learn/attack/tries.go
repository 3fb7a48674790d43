package attack

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/text"
)

// SlowPath is the route of both servers for slow requests: it reads the session,
// waits the milliseconds in the field "wait", at most MaxSlow, and stores a value in
// the session.
const SlowPath = "/lab/attacks/slow-request"

// MaxSlow is the longest that a slow request waits.
const MaxSlow = 300 * time.Millisecond

// How much the attacks send.
const (
	rounds    = 6 // of the race
	inFlight  = 4 // slow requests in each
	holdFor   = 200 * time.Millisecond
	logOutAt  = 60 * time.Millisecond // when they have loaded the session
	guesses   = 400
	guessAims = 1e6 // people logged in, for the arithmetic
)

func replay(ctx context.Context, t *target) (won bool, facts string) {
	token := t.known(ctx, "The victim logs in; the thief copies the cookie.")
	t.logOut(ctx, "The victim logs out.", token)
	if t.get(ctx, "The thief sends the copy.", "/profile", token).greeted() {
		return true, "The copy still works."
	}
	return false, "The copy no longer works."
}

func fixation(ctx context.Context, t *target) (won bool, facts string) {
	planted := t.post(ctx, "The attacker gets a session of their own, as any guest can.", "/session", "", url.Values{"key": {"planted"}, "value": {"yes"}})
	if planted.token == "" {
		t.fail(unclear("there was no session to plant."))
	}
	for _, cookie := range []struct{ what, token string }{{"planted", planted.token}, {"made-up", text.NewToken()}} {
		own := t.logIn(ctx, "The victim logs in from a browser with the "+cookie.what+" cookie.", cookie.token)
		a := t.get(ctx, "The attacker uses the "+cookie.what+" cookie.", "/profile", cookie.token)
		if own == cookie.token || a.greeted() {
			return true, "The " + cookie.what + " cookie is now the victim’s session."
		}
	}
	return false, "The victim got a new token both times, and the earlier cookies do not work."
}

func slow(ctx context.Context, t *target) (won bool, facts string) {
	alive, late := 0, 0
	answers := map[int]int{}
	for n := range rounds {
		r := t.race(ctx, n == 0)
		if r.alive {
			alive++
		}
		for i, status := range r.statuses {
			answers[status]++
			if status != http.StatusSeeOther && r.ended[i].After(r.loggedOut) {
				late++
			}
		}
	}
	if late == 0 {
		t.fail(unclear("no slow request was running at logout. This machine may be busy: try again."))
	}
	return alive > 0, fmt.Sprintf("%d rounds of %d slow requests, answered %s. %d finished after the logout. The old cookie still worked in %d of %d rounds.",
		rounds, inFlight, counted(answers), late, alive, rounds)
}

// raced is the result of one round.
type raced struct {
	alive     bool // the old cookie worked again when all had finished
	statuses  [inFlight]int
	ended     [inFlight]time.Time
	loggedOut time.Time
}

// race logs out while slow requests of the same session are running, and then sends
// the old cookie.
func (t *target) race(ctx context.Context, show bool) (r raced) {
	note := func(text string) string {
		if show {
			return text
		}
		return ""
	}
	token := t.logIn(ctx, note("The victim logs in."), "")
	var all sync.WaitGroup
	for i := range inFlight {
		said := ""
		if i == 0 {
			said = note("One of the slow requests. Each waits before it saves something.")
		}
		wait := url.Values{"wait": {strconv.FormatInt(holdFor.Milliseconds(), 10)}}
		all.Go(func() { r.statuses[i], r.ended[i] = t.post(ctx, said, SlowPath, token, wait).Code, time.Now() })
	}
	all.Go(func() {
		if err := pause(ctx, logOutAt); err != nil {
			t.fail(err)
		}
		t.logOut(ctx, note("The victim logs out."), token)
		r.loggedOut = time.Now()
	})
	all.Wait()
	r.alive = t.get(ctx, note("When all have finished, the attacker tries the old cookie."), "/profile", token).greeted()
	return r
}

// pause waits, and returns an error if ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// counted lists the number of answers by status: "409 × 20, 303 × 4".
func counted(answers map[int]int) string {
	var words []string
	for _, status := range slices.Sorted(maps.Keys(answers)) {
		words = append(words, fmt.Sprintf("%d × %d", status, answers[status]))
	}
	return strings.Join(words, ", ")
}

// elsewhere returns the headers that a browser sends with a form from another site.
func elsewhere() []string {
	return []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}
}

func forged(ctx context.Context, t *target) (won bool, facts string) {
	token := t.known(ctx, "The victim logs in.")
	t.post(ctx, "A page on evil.example submits a form with the victim’s cookie.", "/session", token, url.Values{"key": {"forged"}, "value": {"yes"}}, elsewhere()...)
	values := t.send(ctx, request{
		note: "What the victim’s session now holds.", method: http.MethodGet, path: "/session", token: token,
		headers: []string{"Accept: application/json"},
	})
	login := t.post(ctx, "The same page tries to log the victim in to the attacker’s account, which needs no cookie.", "/login", "", t.victim.form(), elsewhere()...)
	changed, entered := strings.Contains(string(values.Body), `"forged"`), login.token != ""
	return changed || entered, fmt.Sprintf("The forged change was %s, and the forged login was %s.", choose(changed, "carried out", "refused"), choose(entered, "carried out", "refused"))
}

func guess(ctx context.Context, t *target) (won bool, facts string) {
	t.known(ctx, "Someone logs in, so there is a session to hit.")
	began := time.Now()
	var hits atomic.Int64
	var all errgroup.Group
	all.SetLimit(4)
	for n := range guesses {
		note := ""
		if n == 0 {
			note = fmt.Sprintf("One of %d guesses.", guesses)
		}
		all.Go(func() error {
			if t.get(ctx, note, "/profile", text.NewToken()).greeted() {
				hits.Add(1)
			}
			return nil
		})
	}
	_ = all.Wait() // what failed is with the target
	took := time.Since(began)
	return hits.Load() > 0, fmt.Sprintf("%d guesses in %.1f s, %d hits. There are 2^256 tokens: at this rate, with a million people logged in, an even chance of hitting one of them takes 10^%d years.",
		guesses, took.Seconds(), hits.Load(), yearsExponent(guesses/took.Seconds()))
}

// yearsExponent returns the power of ten of the years until there is an even chance
// that a guess hits one of guessAims tokens.
func yearsExponent(perSecond float64) int {
	const secondsAYear = 365.25 * 24 * 3600
	return int(255*math.Log10(2) - math.Log10(guessAims) - math.Log10(perSecond) - math.Log10(secondsAYear))
}
