package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
	"holdfast/internal/session"
)

type loginPage struct {
	Email, Next string
	Remember    bool
	RememberFor string
	Notice      string // about the browser's cookies
	problems
}

func (s *Site) showLogin(c echo.Context) error {
	sent, wrong := formOf(c), problemsOf(c)
	if _, ok := current(c).Member(); ok && sent == nil {
		return c.Redirect(http.StatusSeeOther, s.afterLogin(c.QueryParam("next")))
	}
	p := loginPage{Email: sent["email"], Remember: sent["remember"] != "", RememberFor: Lasting(s.Sessions.Limits().Remember), Next: s.nextOf(c), problems: wrong}
	if email := c.QueryParam("email"); sent == nil && ownLink(c.Request()) && len(email) <= account.MaxEmailBytes {
		p.Email = email
	}
	if p.Failed != "" {
		p.Errors.Add("email", p.Failed)
	}
	if sent == nil {
		p.Notice = s.cookieNotice(c)
	}
	return s.Render(c, wrong.status(), "login", "Log in", p)
}

// After a login, a browser that has not yet sent a cookie is redirected to the login
// page with one of these in the query. The page redirects again, or says why the
// browser is not logged in.
const (
	checkField   = "check"
	checkCookies = "cookies" // the browser accepts no cookies
	checkHTTPS   = "https"   // an https cookie, on a page opened over http
)

// loggedIn redirects a browser to next after a login.
func (s *Site) loggedIn(c echo.Context, next string) error {
	r := c.Request()
	if next = s.afterLogin(next); !fromBrowser(r) || len(s.deviceTokens(r)) > 0 {
		return c.Redirect(http.StatusSeeOther, next)
	}
	check := checkCookies
	if s.BaseURL.Scheme == "https" && strings.HasPrefix(r.Header.Get("Origin"), "http:") {
		check = checkHTTPS
	}
	return c.Redirect(http.StatusSeeOther, loginURL(next)+"&"+checkField+"="+check)
}

// cookieNotice returns the login page's notice about what is wrong with the browser's
// cookies, as far as a guest's request reveals it.
func (s *Site) cookieNotice(c echo.Context) string {
	const off = "You are not logged in: your browser did not send our cookie back. "
	value, count := findCookie(c.Request(), s.sessionCookie)
	check := c.QueryParam(checkField)
	switch {
	case value != "" && count == 1 && !session.WellFormed(value):
		return "Another program on this host also uses a cookie named “" + s.sessionCookie + "”. If you log in here, it may log you out there. " + renameCookie
	case count > 0 || !ownLink(c.Request()):
		return ""
	case check == checkCookies:
		return off + "Allow cookies for this site, then log in again."
	case check == checkHTTPS:
		return off + "It works over https only, and you opened this page over http. Log in at " + s.BaseURL.JoinPath("login").String() + "."
	}
	return ""
}

// ownLink reports whether a request does not come from a link on another site.
func ownLink(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "cross-site" && site != "same-site"
}

func (s *Site) submitLogin(c echo.Context) error {
	sent := formOf(c)
	err := s.logIn(c, sent["email"], sent["password"], sent["remember"] != "")
	if errors.Is(err, account.ErrToBeDeleted) {
		return form.Errors{{Field: "email", Message: "This account is going to be deleted. To keep it, follow the link that we emailed you."}}
	}
	if errors.Is(err, account.ErrInvalidCredentials) {
		return form.Errors{{Field: "email", Message: "That email and password do not match."}}
	}
	if err != nil {
		return err
	}
	return s.loggedIn(c, sent["next"])
}

// logIn verifies an email address and password, and starts a session.
func (s *Site) logIn(c echo.Context, email, pass string, remember bool) error {
	var missing form.Errors
	missing.Require(email, "email", "Enter your email address.")
	missing.Require(pass, "password", "Enter your password.")
	if err := missing.Err(); err != nil {
		return err
	}
	person, token, err := s.Accounts.LogIn(c.Request().Context(), account.Attempt{
		Email: email, Password: pass, Tokens: s.deviceTokens(c.Request()), From: sender(c),
	})
	if errors.Is(err, account.ErrInvalidCredentials) {
		s.logEvent(c, account.EventLogInFailed, "")
	}
	if err != nil {
		return err
	}
	kind := account.EventLogIn
	if token != "" {
		kind = account.EventLogInNewBrowser
	}
	return s.completeLogin(c, person, token, remember, kind)
}
