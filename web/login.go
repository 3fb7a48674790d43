package web

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
)

type loginPage struct {
	Email, Next string
	Remember    bool
	RememberFor string
	problems
}

func (s *Site) showLogin(c echo.Context) error {
	sent, wrong := formOf(c), problemsOf(c)
	if _, ok := current(c).Member(); ok && sent == nil {
		return c.Redirect(http.StatusSeeOther, s.afterLogin(c.QueryParam("next")))
	}
	p := loginPage{Email: sent["email"], Remember: sent["remember"] != "", RememberFor: lasting(s.RememberFor), Next: s.nextOf(c), problems: wrong}
	if email := c.QueryParam("email"); sent == nil && ownLink(c.Request()) && len(email) <= account.MaxEmailBytes {
		p.Email = email
	}
	if p.Failed != "" {
		p.Errors.Add("email", p.Failed)
	}
	return s.Render(c, wrong.status(), "login", "Log in", p)
}

// ownLink reports whether a request does not follow a link of another site.
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
