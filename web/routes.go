package web

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"
)

// routes lists every URL of the site with its handler. Stateless routes have no
// session, public routes are for guests and members, and members' routes redirect a
// guest to the login page. A new route belongs in the members' group unless there is a
// reason to put it elsewhere.
//
// A form of these groups acts on the account it was shown for, or not at all. A form of
// named identifies its account itself, by the address typed or the emailed link, and
// does the same in every session: logging in or registering after another tab has
// logged in is explicit, and a password reset or a confirmation is for the link's
// account.
func (s *Site) routes() {
	s.echo.Use(s.requestLog, s.protect)

	stateless := Group{site: s}
	named := s.withSession()
	public := s.withSession(s.sameAccount)
	members := s.withSession(s.membersOnly, s.sameAccount)
	recent := s.withSession(s.membersOnly, s.sameAccount, s.requireRecentPassword)

	stateless.Get("/healthz", s.healthz)
	stateless.Get("/readyz", s.readyz)
	stateless.Get("/favicon.ico", echo.WrapHandler(s.assets.served[favicon]))
	stateless.Get(assetPrefix+"*", s.showAsset)
	for name, file := range s.rootFiles {
		stateless.Get("/"+name, echo.WrapHandler(file))
	}
	stateless.Get("/.well-known/change-password", s.showChangePassword)

	named.Page("/register", s.showRegister)
	named.Post("/register", s.submitRegister, "name", "email", "password", "remember", "next")
	named.Page("/login", s.showLogin)
	named.Post("/login", s.submitLogin, "email", "password", "remember", "next")
	named.Page("/forgot", s.showForgot)
	named.Post("/forgot", s.submitForgot, "email")
	named.Get("/reset", s.showReset)
	named.Post("/reset", s.submitReset, "token", "password")
	named.Get("/verify", s.showVerify)
	named.Post("/verify", s.submitVerify, "token", "action")

	public.Page("/", s.showHome)
	public.Post("/logout", s.submitLogout)
	public.Page("/session", s.showSession)
	public.Post("/session", s.submitSession, "key", "value", "action")

	members.Page("/profile", s.showProfile)
	members.Page("/devices", s.showDevices)
	recent.Post("/devices/end", s.submitEndDevice, "id")
	recent.Post("/devices/end-others", s.submitEndOthers)
	members.Page("/account", s.withAccount(s.showAccount))
	members.Post("/account/name", s.submitName, "name")
	members.Post("/account/confirm", s.submitConfirmAgain)
	members.Page("/account/password", s.withAccount(s.showPassword))
	members.Post("/account/password", s.submitPassword, "current", "new")
	members.Page("/account/history", s.showHistory)
	members.Page("/account/proof", s.withAccount(s.showReauth))
	members.Post("/account/proof", s.submitReauth, "password", "next")
	recent.Page("/account/email", s.withAccount(s.showEmail))
	recent.Post("/account/email", s.submitEmail, "email")
	recent.Page("/account/export", s.withAccount(s.showExport))
	recent.Page("/account/delete", s.withAccount(s.showDelete))
	recent.Post("/account/delete", s.submitDelete, "email")

	if s.Mails != nil {
		public.OwnHost().Page("/mail", s.showMails)
	}
	for _, e := range s.Extensions {
		e.Routes(s, public, members)
	}
}

// endsSessions are the forms that are handled when the disk is full, including the
// password form that some of them require first.
var endsSessions = map[string]bool{
	"/logout": true, "/devices/end": true, "/devices/end-others": true, "/account/password": true,
	"/account/delete": true, "/account/proof": true,
}

// keptForBack are the forms whose page, when shown to a guest again for correction,
// does not depend on a session. The browser keeps it for its Back button. Otherwise,
// the browser would ask whether to send the form again.
var keptForBack = map[string]bool{"/login": true, "/register": true, "/forgot": true}

func (s *Site) whileDiskHasRoom(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if s.DiskFull() {
			return errDiskFull
		}
		return next(c)
	}
}

// Group registers routes that share middleware. Echo's own groups would also run it for
// every unknown path.
type Group struct {
	site       *Site
	middleware []echo.MiddlewareFunc
}

// withSession returns a group of routes that have a session, a guest's or a member's.
func (s *Site) withSession(then ...echo.MiddlewareFunc) Group {
	var chain []echo.MiddlewareFunc
	for _, e := range s.Extensions {
		if e.Around != nil {
			chain = append(chain, e.Around)
		}
	}
	return Group{s, append(append(chain, s.sessionMiddleware), then...)}
}

// OwnHost returns the same group for requests that name this server as their host. It
// is for pages that show or do more than a stranger may see or do.
func (g Group) OwnHost() Group {
	return Group{g.site, append([]echo.MiddlewareFunc{g.site.ownHost}, g.middleware...)}
}

// wrap wraps h in the group's middleware once. Echo would do so for each request.
func (g Group) wrap(h echo.HandlerFunc) echo.HandlerFunc {
	for _, m := range slices.Backward(g.middleware) {
		h = m(h)
	}
	return h
}

// Get registers a handler for GET and HEAD.
func (g Group) Get(path string, h echo.HandlerFunc) {
	g.site.shown[path] = h
	h = g.wrap(h)
	g.site.echo.GET(path, h)
	g.site.echo.HEAD(path, h)
}

// Page registers a GET that a login, or entering the password again, may redirect to.
func (g Group) Page(path string, h echo.HandlerFunc) {
	g.Get(path, h)
	g.site.getPaths[path] = true
}

// Post registers the handler of a form with these fields. If it fails with an error
// that the sender can fix, they get the form's page again: the page at path, or the
// nearest one above it, which must already be registered.
func (g Group) Post(path string, h echo.HandlerFunc, fields ...string) {
	page, ok := g.site.shown[path]
	if !ok {
		page = g.site.shown[g.site.formPage(path)]
	}
	h = g.wrap(g.site.submit(h, page, fields))
	if g.site.DiskFull != nil && !endsSessions[path] {
		h = g.site.whileDiskHasRoom(h)
	}
	g.site.echo.POST(path, h)
}

func (s *Site) showAsset(c echo.Context) error {
	found, ok := s.assets.find(c.Param("*"))
	if !ok {
		return echo.NewHTTPError(http.StatusNotFound)
	}
	found.ServeHTTP(c.Response(), c.Request())
	return nil
}
