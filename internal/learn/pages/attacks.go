package pages

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
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
	Each    string // the same, inside a sentence
	Shown   string // names of those whose results are unfolded
	Scores  []attackScore
	Attacks []attackSection
}

// attackScore is how one server did in the attacks that were run.
type attackScore struct {
	Where             string
	Held, Fell, Other int
}

type attackSection struct {
	attack.Attack
	Report *attackReport // nil: not run yet
	Guess  guess
	Waits  []waitBar // how long each further wrong password has to wait
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
	Clock          string // time of day
	Open           bool   // whether it is shown unfolded
	Took, Requests string
	Trials         []attackTrial
}

type attackTrial struct {
	attack.Trial
	Where           string
	Result          string // in a word or two
	Verdict, Reason string // Reason continues the sentence
}

func trialAt(where string, t attack.Trial) attackTrial {
	shown := attackTrial{Trial: t, Where: where}
	switch t.Outcome {
	case attack.Failed:
		shown.Result, shown.Verdict, shown.Reason = "held", "The attack failed", ", because "+t.Why
	case attack.Succeeded:
		shown.Result, shown.Verdict, shown.Reason = "fell", "The attack succeeded", ": "+t.Why
	case attack.NotTried:
		shown.Result, shown.Verdict, shown.Reason = "was not attacked", "Not tried", ": "+t.Why
	default:
		shown.Result, shown.Verdict, shown.Reason = "gave no clear result", "Inconclusive", ": "+t.Why
	}
	return shown
}

// showAttacks lists the attacks, with the result of the last run of each.
func (s *Pages) showAttacks(c echo.Context) error {
	return s.attacksPage(c, http.StatusOK, false)
}

// submitAttack runs one attack and shows its result. It takes seconds.
func (s *Pages) submitAttack(c echo.Context) error {
	name, all := c.Param("name"), s.Lab.Attacks.All()
	if name == "all" { // the browser sends the form to the first attack, and then to each other
		return c.Redirect(http.StatusTemporaryRedirect, "/lab/attacks/"+all[0].Name)
	}
	err := s.Lab.Attacks.Run(c.Request().Context(), name)
	if errors.Is(err, attack.ErrBusy) {
		return s.attacksPage(c, s.StatusOf(err), true)
	}
	if err != nil {
		return err
	}
	if report := s.Lab.Attacks.Latest(name); report != nil {
		judge(web.Current(c), attackGuess(name).guessed(c), string(report.Here.Outcome))
	}
	shown := append(s.unfolded(web.Sent(c)["shown"]), name)
	if web.Sent(c)["all"] != "" {
		shown = nil
		for i, a := range all {
			if shown = append(shown, a.Name); a.Name == name && i+1 < len(all) {
				return c.Redirect(http.StatusTemporaryRedirect, "/lab/attacks/"+all[i+1].Name)
			}
		}
		name = "score"
	}
	slices.Sort(shown)
	return c.Redirect(http.StatusSeeOther, "/lab/attacks?shown="+strings.Join(slices.Compact(shown), "+")+"#"+name)
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

// unfolded returns the attacks that a list names.
func (s *Pages) unfolded(list string) (names []string) {
	named := strings.Fields(list)
	for _, a := range s.Lab.Attacks.All() {
		if slices.Contains(named, a.Name) {
			names = append(names, a.Name)
		}
	}
	return names
}

func (s *Pages) attacksPage(c echo.Context, status int, busy bool) error {
	all := s.Lab.Attacks.All()
	shown := s.unfolded(cmp.Or(c.QueryParam("shown"), web.Sent(c)["shown"]))
	p := attacksPage{Busy: busy, Number: inWords(len(all)), Each: strings.ToLower(inWords(len(all))), Shown: strings.Join(shown, " ")}
	here, beside := attackScore{Where: "This server"}, attackScore{Where: "The typical set-up"}
	for _, a := range all {
		section := attackSection{Attack: a, Guess: attackGuess(a.Name)}
		if a.Name == "password" && s.Accounts.Throttle != nil {
			section.Waits = waitBars()
		}
		if r := s.Lab.Attacks.Latest(a.Name); r != nil {
			section.Report = &attackReport{
				At:       web.MomentAt(r.At, s.Now()),
				Clock:    r.At.In(s.Now().Location()).Format("15:04 MST"),
				Open:     slices.Contains(shown, a.Name),
				Took:     fmt.Sprintf("%.1f s", r.Took.Seconds()),
				Requests: web.Count(r.Requests(), "request"),
				Trials:   []attackTrial{trialAt(here.Where, r.Here), trialAt(beside.Where, r.Stock)},
			}
			here.add(r.Here.Outcome)
			beside.add(r.Stock.Outcome)
			p.Scores = []attackScore{here, beside}
		}
		p.Attacks = append(p.Attacks, section)
	}
	return s.Render(c, status, "attacks", "Attacks", p)
}

func (s *attackScore) add(outcome attack.Outcome) {
	switch outcome {
	case attack.Failed:
		s.Held++
	case attack.Succeeded:
		s.Fell++
	default:
		s.Other++
	}
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
