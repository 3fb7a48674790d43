package pages

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/session/store"
	"holdfast/web"
)

// explainPath is the page whose own request is watched closely.
const explainPath = "/explain"

type explainPage struct {
	Name          string // "" for a guest
	Heading, Lead string
	Summary       string
	Way           web.FlowDiagram
	Guest         bool
	Cookie        string // the session cookie's name, where the lines to try need its value
	Steps         []explainStep
}

// explainStep is one step of the way from the browser to the greeting.
type explainStep struct {
	ID          string // unique on the page
	Title, Text string
	Facts       []explainFact
	Bytes       string // stored bytes, laid out
	Folded      string // what facts and bytes are, where they are shown on demand; or ""
	Took        string // "0.21 ms", where it was measured
	File        string // the code that took this step; "" when none ran
	Function    string
	Hand        []string // lines for a shell that show the same
	Token       bool     // the first of them that need $TOKEN
	HandWords   string   // what they print, or why there are none
	ToDo        bool     // it was not taken: it is for the reader to take
}

type explainFact struct {
	Term  string
	Value string
	Code  bool       // Value is in the machine's own spelling
	Time  web.Moment // instead of Value
	Ends  web.Moment // the same, counting down
	Means string
}

// showExplain explains how the server recognised the request for this very page.
// It stores the session before the page is made, as every other page does
// after, so that it can show what was stored as well.
func (s *Pages) showExplain(c echo.Context) error {
	return s.RenderCommitted(c, http.StatusOK, "explain", "How it works", func() any { return s.explainPage(c) })
}

func (s *Pages) explainPage(c echo.Context) explainPage {
	rec := watched(c)
	e := explanation{site: s, sess: web.Current(c), now: s.Now(), steps: rec.Attempt()}
	member, known := e.sess.Member()
	p := explainPage{Heading: "How the server looked for you", Guest: !known, Lead: "As far as this server can tell, you are nobody yet. " +
		"Here is how it looked while it made this very page, with the real values, recorded by the code that handled them."}
	if known {
		p.Name = member.Name
		p.Heading = "How the server knew you"
		p.Lead = "Here is how, while it made this very page, with the real values, recorded by the code that handled them."
	}
	p.Steps = e.all()
	p.Way = e.way(p.Name)
	p.Summary = e.summary(rec.Elapsed())
	if e.sent.Count == 1 {
		p.Cookie = s.Sessions.CookieName()
	}
	return p
}

// summary is the whole of it in one line.
func (e *explanation) summary(took time.Duration) string {
	asked, written, statements := "no question to a store", "", "no SQL"
	if e.reads > 0 {
		asked = web.Count(e.reads, "question") + " to " + e.store
		if e.site.SessionStore == store.KindDatabase {
			statements = "no other SQL"
		}
	}
	if len(e.writes) > 0 {
		written = ", " + strconv.Itoa(len(e.writes)) + " more to store what changed"
	}
	if len(e.sql) > 0 {
		statements = web.Count(len(e.sql), "SQL statement")
	}
	return fmt.Sprintf("%s, %s%s, %s, %s in all.", web.Count(e.taken, "step"), asked, written, statements, milliseconds(took))
}

// milliseconds writes a short time so that it can be compared.
func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }
