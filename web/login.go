package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
)

type loginPage struct {
	Email, Next  string
	Remember     bool
	RememberDays int
	problems
}

func (s *Site) showLogin(c echo.Context) error {
	if _, ok := current(c).Member(); ok {
		return c.Redirect(http.StatusSeeOther, s.afterLogin(c.QueryParam("next")))
	}
	return s.loginPage(c, http.StatusOK, loginPage{
		Email: shortEmail(c.QueryParam("email")),
		Next:  s.localPath(c.QueryParam("next")),
	})
}

func (s *Site) submitLogin(c echo.Context) error {
	sent, err := form.Parse(c.Request(), "email", "password", "remember", "next")
	if err != nil {
		return err
	}
	p := loginPage{Email: sent["email"], Remember: sent["remember"] != "", Next: s.localPath(sent["next"])}
	if err = s.logIn(c, sent["email"], sent["password"], p.Remember); errors.Is(err, account.ErrInvalidCredentials) {
		err = form.Errors{{Field: "email", Message: "That email and password do not match."}}
	}
	if err != nil {
		return s.refuse(c, err, func(status int, wrong problems) error {
			if p.problems = wrong; wrong.Failed != "" {
				p.Errors.Add("email", wrong.Failed)
			}
			return s.loginPage(c, status, p)
		})
	}
	return c.Redirect(http.StatusSeeOther, s.afterLogin(sent["next"]))
}

// logIn verifies an email and a password, and begins a session.
func (s *Site) logIn(c echo.Context, email, pass string, remember bool) error {
	var missing form.Errors
	if email == "" {
		missing.Add("email", "Enter your email address.")
	}
	if pass == "" {
		missing.Add("password", "Enter your password.")
	}
	if err := missing.Err(); err != nil {
		return err
	}
	person, token, err := s.Accounts.LogIn(c.Request().Context(), account.Attempt{
		Email: email, Password: pass, Tokens: s.deviceTokens(c.Request()), From: sender(c),
	})
	if errors.Is(err, account.ErrInvalidCredentials) {
		s.logEvent(c, string(account.EventLogInFailed), "")
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

func (s *Site) loginPage(c echo.Context, status int, p loginPage) error {
	p.RememberDays = s.rememberDays()
	return s.Render(c, status, "login", "Log in", p)
}

func (s *Site) rememberDays() int { return int(s.RememberFor / (24 * time.Hour)) }

// shortEmail is the address that a link to the login page fills in, as far as
// it could be one.
func shortEmail(email string) string {
	if len(email) > account.MaxEmailBytes {
		return ""
	}
	return email
}
