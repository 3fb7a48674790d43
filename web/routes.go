package web

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"holdfast/internal/learn/attack"
)

// routes lists every URL of the site with its handler. Stateless routes have no
// session, public ones are for guests and members, and the members' redirect a
// guest to the log-in page. A new route belongs to the members' group unless
// there is a reason to put it elsewhere.
//
// A form of these groups acts on the account it was shown for, or not at all. The
// forms of named say themselves which account they are about, by the address that
// was typed or by the link that was mailed, and do the same in every session:
// logging in or registering while another tab has logged in is explicit, and a
// password forgotten or an address confirmed is that of the link's account.
func (s *Site) routes() {
	s.echo.Use(s.requestLog, s.securityHeaders, s.tellNoReferrer, s.csrf)

	stateless := s.group()
	named := s.withSession()
	public := s.withSession(s.sameAccount)
	members := s.withSession(s.membersOnly, s.sameAccount)
	recent := s.withSession(s.membersOnly, s.sameAccount, s.requireRecentPassword)

	stateless.get("/healthz", s.healthz)
	stateless.get("/readyz", s.readyz)
	stateless.get("/favicon.ico", s.showFavicon)
	stateless.get(assetPrefix+"*", s.showAsset)
	for name := range s.rootFiles {
		stateless.get("/"+name, s.rootFile(name))
	}
	stateless.get("/.well-known/change-password", s.changePassword)

	named.page("/register", s.showRegister)
	named.post("/register", s.submitRegister)
	named.page("/login", s.showLogin)
	named.post("/login", s.submitLogin)
	named.page("/forgot", s.showForgot)
	named.post("/forgot", s.submitForgot)
	named.get("/reset", s.showReset)
	named.post("/reset", s.submitReset)
	named.get("/verify", s.showVerify)
	named.post("/verify", s.submitVerify)

	public.page("/", s.showHome)
	public.post("/logout", s.submitLogout)
	public.page("/session", s.showSession)
	public.post("/session", s.submitSession)

	members.page("/profile", s.showProfile)
	members.page("/devices", s.showDevices)
	recent.post("/devices/end", s.submitEndDevice)
	recent.post("/devices/end-others", s.submitEndOthers)
	members.page("/account", s.showAccount)
	members.post("/account/name", s.submitName)
	members.post("/account/confirm", s.submitConfirmAgain)
	members.page("/account/password", s.showPassword)
	members.post("/account/password", s.submitPassword)
	members.page("/account/history", s.showHistory)
	members.page("/account/proof", s.showReauth)
	members.post("/account/proof", s.submitReauth)
	recent.page("/account/email", s.showEmail)
	recent.post("/account/email", s.submitEmail)
	recent.page("/account/export", s.showExport)
	recent.page("/account/delete", s.showDelete)
	recent.post("/account/delete", s.submitDelete)

	if s.Mails != nil {
		public.inside(s.ownHost).page("/mail", s.showMails)
	}
	if !s.Learn {
		public.page("/why", s.showWhy)
	} else {
		public, members := public.inside(s.ownHost), members.inside(s.ownHost)
		public.page("/lab", s.showLab)
		public.get("/lab/wait", s.showLabWait)
		public.post("/lab/restart", s.submitRestart)
		public.post("/lab/check", s.submitCheck)
		public.page("/lab/attacks", s.showAttacks)
		public.post("/lab/attacks/:name", s.submitAttack)
		members.post(attack.SlowPath, s.submitSlowRequest)
		public.page("/why", s.showWhy)
		public.post("/why/second", s.submitSecond)
		public.post("/why/second/stop", s.submitSecondStop)
		public.page("/explain", s.showExplain)
		public.page("/explain/recent", s.showRecent)
	}
}

// group registers routes that share their middleware. Echo's own groups would
// also run it for every unknown path.
type group struct {
	site       *Site
	middleware []echo.MiddlewareFunc
}

func (s *Site) group(middleware ...echo.MiddlewareFunc) group {
	return group{site: s, middleware: middleware}
}

// withSession is a group of routes that have a session, a guest's or a member's.
func (s *Site) withSession(then ...echo.MiddlewareFunc) group {
	chain := []echo.MiddlewareFunc{s.sessionMiddleware}
	if s.Learn {
		chain = []echo.MiddlewareFunc{s.watch, s.sessionMiddleware}
	}
	return s.group(append(chain, then...)...)
}

// inside is the same group behind one more middleware, which comes first.
func (g group) inside(first echo.MiddlewareFunc) group {
	return g.site.group(append([]echo.MiddlewareFunc{first}, g.middleware...)...)
}

// wrap puts the group's middleware around h: once, while Echo would do it for
// each request.
func (g group) wrap(h echo.HandlerFunc) echo.HandlerFunc {
	for _, m := range slices.Backward(g.middleware) {
		h = m(h)
	}
	return h
}

func (g group) get(path string, h echo.HandlerFunc) {
	h = g.wrap(h)
	g.site.echo.GET(path, h)
	g.site.echo.HEAD(path, h)
}

func (g group) post(path string, h echo.HandlerFunc) {
	g.site.echo.POST(path, g.wrap(h))
}

// page registers a GET that a log-in, or giving the password again, may redirect to.
func (g group) page(path string, h echo.HandlerFunc) {
	g.get(path, h)
	g.site.getPaths[path] = true
}

func (s *Site) showFavicon(c echo.Context) error {
	return s.serveAsset(c, "favicon.ico")
}

func (s *Site) showAsset(c echo.Context) error {
	return s.serveAsset(c, c.Param("*"))
}

func (s *Site) serveAsset(c echo.Context, name string) error {
	found, ok := s.assets.find(name)
	if !ok {
		return echo.NewHTTPError(http.StatusNotFound)
	}
	found.ServeHTTP(c.Response(), c.Request())
	return nil
}
