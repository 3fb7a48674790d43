package web

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/session/store"
)

// explainPath is the page whose own request is watched closely.
const explainPath = "/explain"

type explainPage struct {
	Name          string // "" for a guest
	Heading, Lead string
	Summary       string
	Way           wayDrawing
	Guest         bool
	Cookie        string // the session cookie's name, where the lines to try need its value
	Steps         []explainStep
}

// explainStep is one step of the way from the browser to the greeting.
type explainStep struct {
	ID          string // of its own on the page
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
	Code  bool   // Value is in the machine's own spelling
	Time  moment // instead of Value
	Ends  moment // the same, counting down
	Means string
}

// showExplain tells how the server recognised the request for this very page.
// It stores the session before the page is made, as every other page does
// after, so that it can tell what was stored as well.
func (s *Site) showExplain(c echo.Context) error {
	rec := watched(c)
	flashes := s.takeFlashes(c)
	if err := s.commit(c, c.Response()); err != nil {
		return err
	}
	e := explanation{site: s, sess: current(c), now: s.Now(), steps: rec.Attempt()}
	member, known := memberOf(c)
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
	return s.pageWith(c, http.StatusOK, "explain", "How it works", flashes, p)
}

// summary is the whole of it in one line.
func (e *explanation) summary(took time.Duration) string {
	asked, written, statements := "no question to a store", "", "no SQL"
	if e.reads > 0 {
		asked = count(e.reads, "question") + " to " + storeName(e.store)
		if e.store == store.KindDatabase {
			statements = "no other SQL"
		}
	}
	if len(e.writes) > 0 {
		written = ", " + strconv.Itoa(len(e.writes)) + " more to store what changed"
	}
	if len(e.sql) > 0 {
		statements = count(len(e.sql), "SQL statement")
	}
	return fmt.Sprintf("%s, %s%s, %s, %s in all.", count(len(e.told)-e.extra, "step"), asked, written, statements, milliseconds(took))
}

// milliseconds writes a short time so that it can be compared.
func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }
