package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/learn/attack"
	"holdfast/web"
)

// Attacks runs attacks against this server and against a typical set-up.
type Attacks interface {
	All() []attack.Attack
	// Run runs one attack and keeps its report. Errors: attack.ErrUnknown, attack.ErrBusy.
	Run(ctx context.Context, name string) error
	Latest(name string) *attack.Report // nil: not run yet
}

type attacksPage struct {
	Busy    bool   // another attack was running
	Number  string // of attacks, in words
	Attacks []attackSection
}

type attackSection struct {
	attack.Attack
	Report *attackReport // nil: not run yet
	Waits  []waitBar     // how long each further wrong password has to wait
}

// waitBar is one wait, drawn as a bar. Each time the wait doubles, the bar grows by
// the same length.
type waitBar struct {
	Tries        string
	Wait         string
	Y, TextY     int
	Width, TextX int
}

type attackReport struct {
	At             web.Moment
	Result         string // who held and who fell, in a few words
	Clock          string // time of day
	Open           bool   // whether it is shown unfolded
	Took, Requests string
	Trials         []attackTrial
}

type attackTrial struct {
	attack.Trial
	Where           string
	Verdict, Reason string // Reason continues the sentence
}

func trialAt(where string, t attack.Trial) attackTrial {
	shown := attackTrial{Trial: t, Where: where}
	switch t.Outcome {
	case attack.Failed:
		shown.Verdict, shown.Reason = "The attack failed", ", because "+t.Why
	case attack.Succeeded:
		shown.Verdict, shown.Reason = "The attack succeeded", ": "+t.Why
	case attack.NotTried:
		shown.Verdict, shown.Reason = "Not tried", ": "+t.Why
	default:
		shown.Verdict, shown.Reason = "Inconclusive", ": "+t.Why
	}
	return shown
}

// showAttacks lists the attacks, with the result of the last run of each.
func (s *Pages) showAttacks(c echo.Context) error {
	return s.attacksPage(c, http.StatusOK, false)
}

// submitAttack runs one attack and shows its result. It takes seconds.
func (s *Pages) submitAttack(c echo.Context) error {
	name := c.Param("name")
	err := s.Lab.Attacks.Run(c.Request().Context(), name)
	if errors.Is(err, attack.ErrBusy) {
		return s.attacksPage(c, s.StatusOf(err), true)
	}
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/lab/attacks?shown="+name+"#"+name)
}

// submitSlowRequest is a request that waits between reading the session and storing
// something in it.
func (s *Pages) submitSlowRequest(c echo.Context) error {
	if err := attack.Wait(c.Request().Context(), web.Sent(c)["wait"]); err != nil {
		return err
	}
	if err := web.Current(c).Set("slow", "done"); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (s *Pages) attacksPage(c echo.Context, status int, busy bool) error {
	all := s.Lab.Attacks.All()
	p := attacksPage{Busy: busy, Number: inWords(len(all))}
	for _, a := range all {
		section := attackSection{Attack: a}
		if a.Name == "password" && s.Accounts.Throttle != nil {
			section.Waits = waitBars()
		}
		if r := s.Lab.Attacks.Latest(a.Name); r != nil {
			section.Report = &attackReport{
				At:       web.MomentAt(r.At, s.Now()),
				Result:   resultWords(r.Here.Outcome, r.Stock.Outcome),
				Clock:    r.At.In(s.Now().Location()).Format("15:04 MST"),
				Open:     a.Name == c.QueryParam("shown"),
				Took:     fmt.Sprintf("%.1f s", r.Took.Seconds()),
				Requests: web.Count(r.Requests(), "request"),
				Trials:   []attackTrial{trialAt("This server", r.Here), trialAt("A typical set-up", r.Stock)},
			}
		}
		p.Attacks = append(p.Attacks, section)
	}
	return s.Render(c, status, "attacks", "Attacks", p)
}

// resultWords says how both servers did against an attack.
func resultWords(here, stock attack.Outcome) string {
	did := func(outcome attack.Outcome, was string) string {
		switch outcome {
		case attack.Failed:
			return "held"
		case attack.Succeeded:
			return "fell"
		case attack.NotTried:
			return was + " not attacked"
		default:
			return "gave no clear result"
		}
	}
	if here == stock {
		return "Both servers " + did(here, "were")
	}
	return "This server " + did(here, "was") + "; the typical set-up " + did(stock, "was")
}

// exactly formats a wait to the second: "40 s", "2 min 40 s".
func exactly(wait time.Duration) string {
	minutes, seconds := int(wait/time.Minute), int(wait%time.Minute/time.Second)
	switch {
	case minutes == 0:
		return fmt.Sprintf("%d s", seconds)
	case seconds == 0:
		return fmt.Sprintf("%d min", minutes)
	default:
		return fmt.Sprintf("%d min %d s", minutes, seconds)
	}
}

// waitBars draws how long each further wrong password has to wait.
func waitBars() []waitBar {
	const (
		rowHeight = 26
		left      = 76 // where bars begin
		piece     = 19 // what a doubling adds
	)
	rule := account.PasswordRule()
	var bars []waitBar
	for tries, doublings := rule.Burst, 0; ; tries++ {
		wait := rule.Wait(tries)
		y := len(bars) * rowHeight
		width := piece/2 + piece*doublings
		bars = append(bars, waitBar{
			Tries: fmt.Sprintf("after %d", tries), Wait: exactly(wait),
			Y: y + 3, TextY: y + 18, Width: width, TextX: left + width + 8,
		})
		if wait == rule.Most {
			return bars
		}
		doublings++
	}
}

// inWords spells a small number at the beginning of a sentence: "Seven".
func inWords(n int) string {
	words := []string{"No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve"}
	if n < len(words) {
		return words[n]
	}
	return strconv.Itoa(n)
}
