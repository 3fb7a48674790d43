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

// Lab is what the buttons of /lab do to the server. It is there only with LEARN.
type Lab struct {
	// Restart replaces the server after this request. Errors, with which it keeps
	// running: httpserver.ErrRestarting, httpserver.ErrNoReplacement.
	Restart func(context.Context) error
	// StartOf finds an earlier start of a server on the same database.
	StartOf func(ctx context.Context, number int64) (web.Process, error)
	Check   Check
	Attacks Attacks
	Second  SecondServer
	Store   store.Store // of the sessions
}

// Check is the experiment with all four stores, run next to the server.
type Check interface {
	Start() error // restartcheck.ErrChecking: one is running
	State() (restartcheck.State, error)
}

// Bounds of the page that waits for a restart.
const (
	waitSeconds = 1
	maxTries    = 20
	// lookSeconds is how often the page of a running check reloads.
	lookSeconds = 2
)

type labPage struct {
	Store   string // where sessions are kept
	Memory  bool
	Member  bool
	Now     serverCard
	Session string // the sender's, in words
	Outcome *restartOutcome
	Failed  string // why the server did not restart; or ""
	Devices []web.DeviceCard
	Others  int
	Attacks string // how many there are, in words
	Guess   guess
	checkPart
}

// checkPart is the experiment with all four stores, as the partial "check" shows it.
type checkPart struct {
	Check    restartcheck.State
	Began    web.Moment // the check that runs or failed
	Measured web.Moment
}

// restartOutcome is what a restart did to the session of the request.
type restartOutcome struct {
	Heading, Why string
	Kept         bool
	Before       serverCard
}

// serverCard identifies one run of the server.
type serverCard struct {
	ID       int    // of the process
	Restarts string // how often it had been restarted, in words
	Began    web.Moment
}

func (s *Pages) cardOf(p web.Process) serverCard {
	return serverCard{ID: p.ID, Restarts: restarts(p), Began: web.MomentAt(p.Started, s.Now())}
}

type labWaitPage struct {
	Given bool // whether the page has stopped waiting
	Try   int
}

// The kinds of session before the restart, as passed in the query.
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

// submitRestart replaces the server. It redirects to a page that waits: by the time the
// browser requests that page, the old server no longer responds.
func (s *Pages) submitRestart(c echo.Context) error {
	err := s.Lab.Restart(c.Request().Context())
	if errors.Is(err, httpserver.ErrNoReplacement) {
		web.LogCause(c, err)
		return s.labPage(c, http.StatusServiceUnavailable, labPage{
			Failed: "The server was not restarted, because a test run of its replacement did not start. This server keeps running; its log says what went wrong.",
		})
	}
	// A second click waits for the restart that the first one began.
	if err != nil && !errors.Is(err, httpserver.ErrRestarting) {
		return err
	}
	sess := web.Current(c)
	had, guessed := sessionKind(sess), restartGuess().guessed(c)
	if guessed == "" {
		sess.Remove(waitingKey)
	} else if sess.Set(waitingKey, guessed) == nil && had == hadNone { // a full session has no room for a guess
		had = hadGuest
	}
	return c.Redirect(http.StatusSeeOther, labWaitPath(s.Process.Start, had, 1))
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

// showLabWait reloads itself, without JavaScript, until the new server answers, at
// most maxTries times.
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

// submitCheck runs restart-check next to the server.
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

// restartOutcome returns nil unless the browser was redirected here after a restart.
func (s *Pages) restartOutcome(c echo.Context) (*restartOutcome, error) {
	from, had, ok := labQueryOf(c)
	if !ok || from >= s.Process.Start {
		return nil, nil
	}
	before, err := s.Lab.StartOf(c.Request().Context(), from)
	if err != nil {
		return nil, err
	}
	o := &restartOutcome{Before: s.cardOf(before)}
	sess := web.Current(c)
	if o.Kept = sess.Stored(); o.Kept {
		judge(sess, sess.Values()[waitingKey], restartcheck.Known)
		sess.Remove(waitingKey)
	}
	member, isMember := sess.Member()
	switch {
	case had == hadNone:
		o.Heading = "The server restarted"
		o.Why = "You had no session, so there was nothing to lose. Log in, or store a value in your session, then restart again."
	case o.Kept && isMember:
		o.Heading = "Hello again, " + member.Name + "!"
		o.Why = "You are still logged in. Your browser sent the same cookie to a server that had never seen you. It looked up the key in " + s.Sessions.Where() + " and found your session."
	case o.Kept:
		o.Heading = "Your session is still here"
		o.Why = "Your browser sent the same cookie to a server that had never seen you. It looked up the key in " + s.Sessions.Where() + " and found your values."
	case s.InMemory():
		o.Heading = "You are logged out"
		if had == hadGuest {
			o.Heading = "Your session is gone"
		}
		o.Why = "Sessions were in the old server’s memory, which is gone. Your browser still sends its cookie, but the new server does not know it. The same happened to everyone else who was logged in here. Your guesses were in your session, too."
	default:
		o.Heading = "Your session has ended"
		o.Why = "It is no longer in " + s.Sessions.Where() + ". It may have ended in the meantime: a restart alone does not end sessions there."
	}
	return o, nil
}

// restarts says how often the server had been restarted when p started.
func restarts(p web.Process) string {
	if p.Start <= 1 {
		return "not restarted yet"
	}
	return "restarted " + web.Count(int(p.Start-1), "time")
}

func (s *Pages) labPage(c echo.Context, status int, p labPage) error {
	var member session.Member
	member, p.Member = web.Current(c).Member()
	p.Now = s.cardOf(s.Process)
	switch {
	case p.Member:
		p.Session = "logged in as " + member.Name
	case web.Current(c).Stored():
		p.Session = "a guest session"
	default:
		p.Session = "none yet"
	}
	p.Store, p.Memory = s.Sessions.Where(), s.InMemory()
	p.Guess = restartGuess()
	p.Attacks = inWords(len(s.Lab.Attacks.All()))
	if p.Member {
		live, err := web.Current(c).Devices(c.Request().Context())
		if err != nil {
			return err
		}
		p.Devices, p.Others = web.DeviceCards(c, live, s.Now())
	}
	var err error
	if p.checkPart, err = s.checkPart(); err != nil {
		return err
	}
	return s.Render(c, status, "lab", "Restart lab", p)
}

// showCheck shows only the experiment. While it runs, the page reloads itself; with
// scripts, /lab shows what they find here.
func (s *Pages) showCheck(c echo.Context) error {
	p, err := s.checkPart()
	if err != nil {
		return err
	}
	if p.Check.Running {
		c.Response().Header().Set("Refresh", strconv.Itoa(lookSeconds))
	}
	return s.Render(c, http.StatusOK, "labcheck", "All four stores", p)
}

func (s *Pages) checkPart() (p checkPart, err error) {
	p.Check, err = s.Lab.Check.State()
	p.Began = web.MomentAt(p.Check.Began, s.Now())
	p.Measured = web.MomentAt(p.Check.Measured, s.Now())
	return p, err
}
