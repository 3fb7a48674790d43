package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"holdfast/internal/httpserver"
	"holdfast/internal/learn/restartcheck"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
	"holdfast/web"
)

// Lab is what the page /lab can have done to the server. Only with LEARN.
type Lab struct {
	// Restart replaces the server once this request is answered, or says that
	// it goes on: httpserver.ErrRestarting, httpserver.ErrNoReplacement.
	Restart func(context.Context) error
	// StartOf finds an earlier start of a server on the same database.
	StartOf func(ctx context.Context, number int64) (web.Process, error)
	Check   Check
	Attacks Attacks
	Second  SecondServer
}

// Check is the experiment with all four stores, run beside the server.
type Check interface {
	Start() error // restartcheck.ErrChecking: one is running
	State() (restartcheck.State, error)
}

// Bounds of the page that waits for a restart.
const (
	waitSeconds = 1
	maxTries    = 20
	// lookSeconds is how often the page looks how far a check is.
	lookSeconds = 2
)

type labPage struct {
	Store    string // where sessions are kept
	Memory   bool
	Member   bool
	Outcome  *restartOutcome
	Failed   string // why the server did not restart
	Devices  []web.DeviceCard
	Others   int
	Attacks  string // how many there are, in words
	Check    restartcheck.State
	Began    web.Moment // the check that runs or failed
	Measured web.Moment
}

// restartOutcome is what a restart did to the session of the request.
type restartOutcome struct {
	Heading, Why     string
	Kept             bool
	Before, After    web.Process
	Began, BeganNext web.Moment
}

type labWaitPage struct {
	Given bool // waiting has not helped
	Try   int
}

// What a session was before the restart; it travels in the query.
const (
	hadMember = "member"
	hadGuest  = "guest"
	hadNone   = "none"
)

func (s *Pages) showLab(c echo.Context) error {
	outcome, err := s.restartOutcome(c)
	if err != nil {
		return err
	}
	return s.labPage(c, http.StatusOK, labPage{Outcome: outcome})
}

// submitRestart has the server replaced. The answer sends the browser to a page
// that waits: by the time it is asked for, the old server has left.
func (s *Pages) submitRestart(c echo.Context) error {
	err := s.Lab.Restart(c.Request().Context())
	if errors.Is(err, httpserver.ErrNoReplacement) {
		web.LogCause(c, err)
		return s.labPage(c, http.StatusServiceUnavailable, labPage{
			Failed: "The server was not restarted: its replacement did not start when that was tried beside it. This one goes on as before; its log says what was wrong.",
		})
	}
	if errors.Is(err, httpserver.ErrRestarting) {
		return s.labPage(c, http.StatusConflict, labPage{Failed: "A restart is on its way already. Wait a moment."})
	}
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, labWaitPath(s.Process.Start, sessionKind(web.Current(c)), 1))
}

func sessionKind(sess *session.Session) string {
	if _, ok := sess.Member(); ok {
		return hadMember
	}
	if sess.Stored() {
		return hadGuest
	}
	return hadNone
}

func labWaitPath(from int64, had string, try int) string {
	return "/lab/wait?" + labQuery(from, had) + "&try=" + strconv.Itoa(try)
}

func labQuery(from int64, had string) string {
	return url.Values{"from": {strconv.FormatInt(from, 10)}, "had": {had}}.Encode()
}

// showLabWait comes back by itself, without JavaScript, until a later start
// answers, and not for ever.
func (s *Pages) showLabWait(c echo.Context) error {
	from, had, ok := labQueryOf(c)
	if !ok {
		return c.Redirect(http.StatusSeeOther, "/lab")
	}
	if s.Process.Start > from {
		return c.Redirect(http.StatusSeeOther, "/lab?"+labQuery(from, had))
	}
	try, _ := strconv.Atoi(c.QueryParam("try")) // without one it is the first
	try = min(max(try, 1), maxTries)
	if try < maxTries {
		c.Response().Header().Set("Refresh", fmt.Sprintf("%d; url=%s", waitSeconds, labWaitPath(from, had, try+1)))
	}
	return s.Render(c, http.StatusOK, "labwait", "Restarting", labWaitPage{Given: try == maxTries, Try: try})
}

// submitCheck runs restart-check beside the server.
func (s *Pages) submitCheck(c echo.Context) error {
	if err := s.Lab.Check.Start(); err != nil && !errors.Is(err, restartcheck.ErrChecking) {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/lab#stores")
}

func labQueryOf(c echo.Context) (from int64, had string, ok bool) {
	from, err := strconv.ParseInt(c.QueryParam("from"), 10, 64)
	had = c.QueryParam("had")
	return from, had, err == nil && from > 0 && (had == hadMember || had == hadGuest || had == hadNone)
}

// restartOutcome is nil unless the browser comes from a restart.
func (s *Pages) restartOutcome(c echo.Context) (*restartOutcome, error) {
	from, had, ok := labQueryOf(c)
	if !ok || from >= s.Process.Start {
		return nil, nil
	}
	before, err := s.Lab.StartOf(c.Request().Context(), from)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	o := &restartOutcome{
		Before: before, After: s.Process,
		Began: web.MomentAt(before.Started, now), BeganNext: web.MomentAt(s.Process.Started, now),
	}
	o.Kept = web.Current(c).Stored()
	member, isMember := web.Current(c).Member()
	switch {
	case had == hadNone:
		o.Heading = "The server restarted"
		o.Why = "You had no session, so there was nothing to lose. Log in, or put a value into your session, and restart again."
	case o.Kept && isMember:
		o.Heading = "Hello again, " + member.Name + "!"
		o.Why = "You are still logged in. Your browser sent the same cookie to a server that had never seen you; it looked the key up in " + s.Sessions.Where() + ", and your session was there."
	case o.Kept:
		o.Heading = "Your session is still here"
		o.Why = "Your browser sent the same cookie to a server that had never seen you; it looked the key up in " + s.Sessions.Where() + ", and your values were there."
	case s.SessionStore == store.KindMemory:
		o.Heading = "You are a stranger now"
		o.Why = "Sessions were in the old server’s own memory, and that ended with it. Your browser still sends its cookie; nobody is left who knows it. The same has just happened to everyone who was logged in here."
	default:
		o.Heading = "Your session has ended"
		o.Why = "It is not in " + s.Sessions.Where() + " any more. It may have ended meanwhile; a restart alone does not end it there."
	}
	return o, nil
}

func (s *Pages) labPage(c echo.Context, status int, p labPage) error {
	_, p.Member = web.Current(c).Member()
	p.Store, p.Memory = s.Sessions.Where(), s.SessionStore == store.KindMemory
	p.Attacks = inWords(len(s.Lab.Attacks.All()))
	if p.Member {
		live, err := web.Current(c).Devices(c.Request().Context())
		if err != nil {
			return err
		}
		p.Devices, p.Others = web.DeviceCards(c, live, s.Now())
	}
	var err error
	if p.Check, err = s.Lab.Check.State(); err != nil {
		return err
	}
	if p.Check.Running {
		// The address differs each time. To the one it is at already, a browser
		// only jumps to the fragment.
		look := "2"
		if c.QueryParam("look") == look {
			look = "1"
		}
		c.Response().Header().Set("Refresh", fmt.Sprintf("%d; url=/lab?look=%s#stores", lookSeconds, look))
	}
	p.Began = web.MomentAt(p.Check.Began, s.Now())
	p.Measured = web.MomentAt(p.Check.Measured, s.Now())
	return s.Render(c, status, "lab", "Restart lab", p)
}
