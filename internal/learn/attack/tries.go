package attack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"holdfast/internal/text"
)

// SlowPath is the route that both servers have for the slow requests: it reads
// the session, waits the milliseconds in the field "wait", at most MaxSlow, and
// puts a value into the session.
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

func replay(ctx context.Context, t *target) (won bool, facts string, err error) {
	token, err := t.known(ctx, "The victim logs in; the thief copies the cookie.", "")
	if err != nil {
		return false, "", err
	}
	if err := t.logOut(ctx, "The victim logs out.", token); err != nil {
		return false, "", err
	}
	a, err := t.get(ctx, "The thief sends the copy.", "/profile", token)
	if a.greeted() {
		return true, "The copy was greeted by name.", err
	}
	return false, "The copy is a stranger’s.", err
}

func fixation(ctx context.Context, t *target) (won bool, facts string, err error) {
	planted, err := t.send(ctx, request{
		note: "The attacker gets a session of their own, as any guest can.", method: http.MethodPost, path: "/session",
		form: url.Values{"key": {"planted"}, "value": {"yes"}},
	})
	if err != nil {
		return false, "", err
	}
	if planted.token == "" {
		return false, "", unclear("there was no session to plant.")
	}
	for _, cookie := range []struct{ what, token string }{{"planted", planted.token}, {"invented", invented()}} {
		what, token := cookie.what, cookie.token
		own, err := t.logIn(ctx, "The victim logs in from a browser with the "+what+" cookie.", token)
		if err != nil {
			return false, "", err
		}
		a, err := t.get(ctx, "The attacker uses the "+what+" cookie.", "/profile", token)
		if err != nil {
			return false, "", err
		}
		if own == token || a.greeted() {
			return true, "The " + what + " cookie is the victim’s session now.", nil
		}
	}
	return false, "The victim was given a new token both times, and the cookies from before are a stranger’s.", nil
}

// invented is a token of the right form that no server has made.
func invented() string { return text.NewToken() }

func slow(ctx context.Context, t *target) (won bool, facts string, err error) {
	alive, late := 0, 0
	answers := map[int]int{}
	for n := range rounds {
		r, err := t.race(ctx, n == 0)
		if err != nil {
			return false, "", err
		}
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
		return false, "", unclear("no slow request was under way at the log-out. A busy machine can be the reason; try again.")
	}
	return alive > 0, fmt.Sprintf("%d rounds with %d slow requests each, answered %s; %d finished after the log-out. The old cookie worked afterwards in %d of %d rounds.",
		rounds, inFlight, counted(answers), late, alive, rounds), nil
}

// raced is how one round went.
type raced struct {
	alive     bool // the old cookie was good again when all had finished
	statuses  [inFlight]int
	ended     [inFlight]time.Time
	loggedOut time.Time
}

// race logs out while slow requests of the same session are under way, and then
// tries the old cookie.
func (t *target) race(ctx context.Context, show bool) (raced, error) {
	note := func(text string) string {
		if show {
			return text
		}
		return ""
	}
	var r raced
	token, err := t.logIn(ctx, note("The victim logs in."), "")
	if err != nil {
		return r, err
	}
	var errs [inFlight + 1]error
	var all sync.WaitGroup
	for i := range inFlight {
		q := request{method: http.MethodPost, path: SlowPath, token: token, form: url.Values{"wait": {strconv.FormatInt(holdFor.Milliseconds(), 10)}}}
		if i == 0 {
			q.note = note("One of the requests that are under way meanwhile; each waits before it stores something.")
		}
		all.Go(func() {
			a, err := t.send(ctx, q)
			r.statuses[i], r.ended[i], errs[i] = a.status, time.Now(), err
		})
	}
	all.Go(func() {
		if errs[inFlight] = pause(ctx, logOutAt); errs[inFlight] == nil {
			errs[inFlight] = t.logOut(ctx, note("The victim logs out."), token)
		}
		r.loggedOut = time.Now()
	})
	all.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return r, err
	}
	a, err := t.get(ctx, note("When all have finished, the old cookie is tried."), "/profile", token)
	r.alive = a.greeted()
	return r, err
}

// pause waits, and fails when ctx ends first.
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

// counted puts answers into words: "409 × 20, 303 × 4".
func counted(answers map[int]int) string {
	var words []string
	for _, status := range slices.Sorted(maps.Keys(answers)) {
		words = append(words, fmt.Sprintf("%d × %d", status, answers[status]))
	}
	return strings.Join(words, ", ")
}

// elsewhere is what a browser says of a form that another site sends.
func elsewhere() []string {
	return []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}
}

func forged(ctx context.Context, t *target) (won bool, facts string, err error) {
	token, err := t.known(ctx, "The victim logs in.", "")
	if err != nil {
		return false, "", err
	}
	_, err = t.send(ctx, request{
		note: "A page of evil.example sends a form, with the victim’s cookie.", method: http.MethodPost, path: "/session", token: token,
		headers: elsewhere(), form: url.Values{"key": {"forged"}, "value": {"yes"}},
	})
	if err != nil {
		return false, "", err
	}
	values, err := t.send(ctx, request{
		note: "What the victim’s session holds now.", method: http.MethodGet, path: "/session", token: token,
		headers: []string{"Accept: application/json"},
	})
	if err != nil {
		return false, "", err
	}
	login, err := t.send(ctx, request{
		note: "The same page logs the victim in to the attacker’s account; no cookie is needed for that.", method: http.MethodPost, path: "/login",
		headers: elsewhere(), form: t.victim.form(),
	})
	if err != nil {
		return false, "", err
	}
	changed, entered := strings.Contains(values.body, `"forged"`), login.token != ""
	return changed || entered, fmt.Sprintf("The forged change was %s, and the forged log-in was %s.", taken(changed), taken(entered)), nil
}

func taken(yes bool) string {
	if yes {
		return "carried out"
	}
	return "refused"
}

func guess(ctx context.Context, t *target) (won bool, facts string, err error) {
	if _, err := t.known(ctx, "Somebody is logged in, so that there is something to hit.", ""); err != nil {
		return false, "", err
	}
	const atOnce = 4
	began := time.Now()
	hits, errs := make([]int, atOnce), make([]error, atOnce)
	var all sync.WaitGroup
	for i := range atOnce {
		all.Go(func() {
			for n := range guesses / atOnce {
				note := ""
				if i+n == 0 {
					note = fmt.Sprintf("One of %d guesses.", guesses)
				}
				a, err := t.get(ctx, note, "/profile", invented())
				if err != nil {
					errs[i] = err
					return
				}
				if a.greeted() {
					hits[i]++
				}
			}
		})
	}
	all.Wait()
	hit := 0
	for i, err := range errs {
		if err != nil {
			return false, "", err
		}
		hit += hits[i]
	}
	took := time.Since(began)
	rate := guesses / took.Seconds()
	return hit > 0, fmt.Sprintf("%d guesses in %.1f s, %d hits. There are 2^256 tokens: at this rate, with a million people logged in, an even chance of hitting one of them takes 10^%d years.",
		guesses, took.Seconds(), hit, yearsExponent(rate)), nil
}

// yearsExponent is the power of ten of the years until a guess has even odds to
// hit one of guessAims tokens.
func yearsExponent(perSecond float64) int {
	const secondsAYear = 365.25 * 24 * 3600
	return int(255*math.Log10(2) - math.Log10(guessAims) - math.Log10(perSecond) - math.Log10(secondsAYear))
}
