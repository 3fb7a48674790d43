package pages

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/learn/trace"
	"holdfast/internal/session/store"
	"holdfast/web"
)

// explainPath is the page whose own request is recorded in detail.
const explainPath = "/explain"

type explainPage struct {
	Name          string // "" for a guest
	Heading, Lead string
	Summary       string
	Way           web.FlowDiagram
	Guest         bool
	Cookie        string // the session cookie's name, if the commands need its value
	Steps         []explainStep
}

// explainStep is one step from the browser to the greeting.
type explainStep struct {
	ID          string // unique on the page
	Title, Text string
	Facts       []explainFact
	Bytes       string          // stored bytes, formatted
	Folded      string          // the summary of facts and bytes shown on demand; or ""
	Took        string          // "0.21 ms", if measured
	Sources     []explainSource // the code that took this step
	Parts       []explainStep   // instead of Text: what was not needed
	quiet       bool            // whether nothing had to be done
	Hand        []string        // shell commands that show the same
	Token       bool            // the first step whose commands need $TOKEN
	HandWords   string          // what the commands print, or why there are none
	ToDo        bool            // a step for the reader to take
}

// explainSource is a function, with its lines if they are on this machine.
type explainSource struct{ File, Function, Lines string }

type explainFact struct {
	Term  string
	Value string
	Code  bool       // Value is shown as code
	Time  web.Moment // instead of Value
	Ends  web.Moment // after Value: when it ends
	Means string
}

// showExplain explains how the server recognised the request for this page. It
// commits the session before rendering, where other pages commit after, so that it
// can also show what was stored.
func (s *Pages) showExplain(c echo.Context) error {
	return s.Render(c, http.StatusOK, "explain", "How it works", func() any { return s.explainPage(c) })
}

func (s *Pages) explainPage(c echo.Context) explainPage {
	rec := watched(c)
	took := rec.Elapsed()
	e := explanation{site: s, sess: web.Current(c), now: s.Now(), steps: rec.Attempt(), sources: map[trace.Source]bool{}}
	member, known := e.sess.Member()
	p := explainPage{Heading: "How the server looked you up", Guest: !known, Lead: "You are not logged in. " +
		"Here is each step the server took to find that out, with the real values, recorded while it made this page."}
	if known {
		p.Name = member.Name
		p.Heading = "How the server knew you"
		p.Lead = "Here is each step, with the real values, recorded while it made this page."
	}
	p.Steps = e.all()
	p.Way = e.way(p.Name)
	p.Summary = e.summary(took)
	if e.sent.Count == 1 {
		p.Cookie = s.Sessions.CookieName()
	}
	return p
}

// summary summarises all steps in one line.
func (e *explanation) summary(took trace.Took) string {
	lookups, written, statements := "the store was not asked", "", "no SQL"
	if e.reads > 0 {
		lookups = web.Count(e.reads, "lookup") + " in " + e.store
		if e.site.SessionStore == store.KindDatabase {
			statements = "no other SQL"
		}
	}
	if len(e.writes) > 0 {
		written = ", " + web.Count(len(e.writes), "write")
	}
	if len(e.sql) > 0 {
		statements = web.Count(len(e.sql), "SQL statement")
	}
	return fmt.Sprintf("%s, %s%s, %s, %s in total.", web.Count(e.taken, "step"), lookups, written, statements, took)
}
