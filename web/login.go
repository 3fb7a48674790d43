package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
	"holdfast/internal/throttle"
)

type loginPage struct {
	Email, Next  string
	Remember     bool
	RememberDays int
	Failed       string // why nobody was logged in
	Errors       form.Errors
}

func (s *Site) showLogin(c echo.Context) error {
	if _, ok := current(c).Member(); ok {
		return c.Redirect(http.StatusSeeOther, s.afterLogin(c.QueryParam("next")))
	}
	return s.loginPage(c, http.StatusOK, loginPage{Next: s.localPath(c.QueryParam("next"))})
}

func (s *Site) submitLogin(c echo.Context) error {
	sent, err := form.Parse(c.Request(), "email", "password", "remember", "next")
	if err != nil {
		return err
	}
	remember := sent["remember"] != ""
	again := loginPage{Email: sent["email"], Remember: remember, Next: s.localPath(sent["next"])}
	for _, field := range []struct{ name, missing string }{
		{"email", "Enter the e-mail you registered with."},
		{"password", "Enter your password."},
	} {
		if sent[field.name] == "" {
			again.Errors.Add(field.name, field.missing)
		}
	}
	if len(again.Errors) > 0 {
		return s.loginPage(c, http.StatusUnprocessableEntity, again)
	}
	person, early, err := s.authenticate(c, sent["email"], sent["password"])
	switch {
	case early != "":
		again.Failed = early
		return s.loginPage(c, http.StatusTooManyRequests, again)
	case errors.Is(err, account.ErrNoMatch):
		again.Failed = "That e-mail and password do not match."
		return s.loginPage(c, http.StatusUnprocessableEntity, again)
	case err != nil:
		return err
	}
	if err := s.enter(c, person, remember, false); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, s.afterLogin(sent["next"]))
}

// authenticate verifies an e-mail and a password, as often as that may be tried:
// by account and by address, or for a browser that has logged in to the account
// before by that browser alone.
func (s *Site) authenticate(c echo.Context, email, pass string) (person account.Person, early string, err error) {
	ctx := c.Request().Context()
	known, err := s.Accounts.KnownBrowser(ctx, email, s.deviceTokens(c.Request()))
	if err != nil {
		return person, "", err
	}
	keys := []throttle.Key{byEmail(accountRule(), email), byAddress(addressRule(), c)}
	if known != "" {
		keys = []throttle.Key{{Rule: deviceRule(), Of: known}}
	}
	if early, err = s.take(c, keys...); early != "" || err != nil {
		return person, early, err
	}
	person, err = s.Accounts.Authenticate(ctx, email, pass)
	switch {
	case err == nil:
		s.clear(ctx, keys[0])
		s.giveBack(ctx, keys[1:]...)
	case errors.Is(err, account.ErrNoMatch):
		s.tell(c, string(account.EventLogInFailed), "")
		if failed := s.Accounts.NoteFailure(ctx, email, from(c)); failed != nil {
			return person, "", failed
		}
	default:
		s.giveBack(ctx, keys...) // nothing was tried
	}
	return person, "", err
}

func (s *Site) loginPage(c echo.Context, status int, p loginPage) error {
	p.RememberDays = int(s.RememberFor / (24 * time.Hour))
	return s.page(c, status, "login", "Log in", p)
}
