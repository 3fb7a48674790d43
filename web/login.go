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
	Errors       form.Errors
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
	remember := sent["remember"] != ""
	p := loginPage{Email: sent["email"], Remember: remember, Next: s.localPath(sent["next"])}
	if sent["email"] == "" {
		p.Errors.Add("email", "Enter your e-mail.")
	}
	if sent["password"] == "" {
		p.Errors.Add("password", "Enter your password.")
	}
	if len(p.Errors) > 0 {
		return s.loginPage(c, http.StatusUnprocessableEntity, p)
	}
	person, early, err := s.authenticate(c, sent["email"], sent["password"])
	switch {
	case early != "":
		p.Errors.Add("email", early)
		return s.loginPage(c, http.StatusTooManyRequests, p)
	case errors.Is(err, account.ErrInvalidCredentials):
		p.Errors.Add("email", "That e-mail and password do not match.")
		return s.loginPage(c, http.StatusUnprocessableEntity, p)
	case err != nil:
		return err
	}
	if err := s.completeLogin(c, person, remember, false); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, s.afterLogin(sent["next"]))
}

// authenticate verifies an e-mail and a password, as often as that may be tried:
// by account and by address, or for a browser that has logged in to the account
// before by that browser, and by all such browsers together.
func (s *Site) authenticate(c echo.Context, email, pass string) (person account.Person, early string, err error) {
	ctx := c.Request().Context()
	known, err := s.Accounts.KnownBrowser(ctx, email, s.deviceTokens(c.Request()))
	if err != nil {
		return person, "", err
	}
	keys := []throttle.Key{byEmail(accountRule(), email), byAddress(addressRule(), c)}
	if known != "" {
		keys = []throttle.Key{{Rule: deviceRule(), Subject: known}, byEmail(devicesRule(), email)}
	}
	if early, err = s.take(c, keys...); early != "" || err != nil {
		return person, early, err
	}
	person, err = s.Accounts.Authenticate(ctx, email, pass)
	switch {
	case err == nil:
		s.clear(ctx, keys[0])
		s.refund(ctx, keys[1:]...)
	case errors.Is(err, account.ErrInvalidCredentials):
		s.logEvent(c, string(account.EventLogInFailed), "")
		if failed := s.Accounts.AuditFailedLogin(ctx, email, sender(c)); failed != nil {
			return person, "", failed
		}
	default:
		s.refund(ctx, keys...) // nothing was tried
	}
	return person, "", err
}

func (s *Site) loginPage(c echo.Context, status int, p loginPage) error {
	p.RememberDays = s.rememberDays()
	return s.page(c, status, "login", "Log in", p)
}

func (s *Site) rememberDays() int { return int(s.RememberFor / (24 * time.Hour)) }

// shortEmail is the address that a link to the log-in page fills in, as far as
// it could be one.
func shortEmail(email string) string {
	if len(email) > account.MaxEmailBytes {
		return ""
	}
	return email
}
