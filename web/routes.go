package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/learn/attack"
)

// routes is every URL of the site and the handler behind it. public pages look
// at the session and take anyone; member pages send a guest to log in; bare
// ones touch no session at all. A new route is for members unless it is put
// elsewhere.
func (s *Site) routes() {
	s.echo.Use(s.observe, s.secure, tellNoReferrer, s.refuseForgery)

	bare := s.group()
	public := s.known()
	members := s.known(s.membersOnly)
	proven := func(page string) group { return s.known(s.membersOnly, s.proven(page)) }

	bare.get("/healthz", s.healthz)
	bare.get("/readyz", s.readyz)
	bare.get("/favicon.ico", s.showFavicon)
	bare.get(assetPrefix+"*", s.showAsset)
	bare.get("/.well-known/change-password", s.changePassword)

	public.page("/", s.showHome)
	public.page("/register", s.showRegister)
	public.post("/register", s.submitRegister)
	public.page("/login", s.showLogin)
	public.post("/login", s.submitLogin)
	public.post("/logout", s.submitLogout)
	public.page("/forgot", s.showForgot)
	public.post("/forgot", s.submitForgot)
	public.get("/reset", s.showReset)
	public.post("/reset", s.submitReset)
	public.get("/verify", s.showVerify)
	public.post("/verify", s.submitVerify)
	public.page("/session", s.showSession)
	public.post("/session", s.submitSession)

	members.page("/profile", s.showProfile)
	members.page("/devices", s.showDevices)
	proven("/devices").post("/devices/end", s.submitEndDevice)
	proven("/devices").post("/devices/end-others", s.submitEndOthers)
	members.page("/account", s.showAccount)
	members.post("/account/name", s.submitName)
	members.post("/account/confirm", s.submitConfirmAgain)
	members.page("/account/password", s.showPassword)
	members.post("/account/password", s.submitPassword)
	members.page("/account/history", s.showHistory)
	members.page("/account/proof", s.showProof)
	members.post("/account/proof", s.submitProof)
	proven("/account/email").page("/account/email", s.showEmail)
	s.known(s.membersOnly, s.emailProof).post("/account/email", s.submitEmail)
	proven("/account").get("/account/export", s.showExport)
	proven("/account/delete").page("/account/delete", s.showDelete)
	proven("/account/delete").post("/account/delete", s.submitDelete)

	if s.Mails != nil {
		public.page("/mail", s.showMails)
	}
	if s.Learn {
		public.page("/lab", s.showLab)
		public.get("/lab/wait", s.showLabWait)
		public.post("/lab/restart", s.submitRestart)
		public.post("/lab/check", s.submitCheck)
		public.page("/lab/attacks", s.showAttacks)
		public.post("/lab/attacks/:name", s.submitAttack)
		members.post(attack.SlowPath, s.submitSlowRequest)
		public.page("/explain", s.showExplain)
		public.page("/explain/recent", s.showRecent)
	}
}

// group registers routes that share their middleware. (Echo's own groups would
// also put it around every unknown path.)
type group struct {
	site       *Site
	middleware []echo.MiddlewareFunc
}

func (s *Site) group(middleware ...echo.MiddlewareFunc) group {
	return group{site: s, middleware: middleware}
}

// known is the group of requests whose sender is looked for.
func (s *Site) known(then ...echo.MiddlewareFunc) group {
	chain := []echo.MiddlewareFunc{s.recognise}
	if s.Learn {
		chain = []echo.MiddlewareFunc{s.watch, s.recognise}
	}
	return s.group(append(chain, then...)...)
}

func (g group) get(path string, h echo.HandlerFunc) {
	g.site.echo.GET(path, h, g.middleware...)
	g.site.echo.HEAD(path, h, g.middleware...)
}

func (g group) post(path string, h echo.HandlerFunc) {
	g.site.echo.POST(path, h, g.middleware...)
}

// page is a GET a person can be sent back to after logging in.
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
