package web

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
	"holdfast/internal/throttle"
)

type registerPage struct {
	Name, Email, Next string
	Remember          bool
	RememberDays      int
	MaxName           int  // code points
	MinPassword       int  // code points
	Taken             bool // someone has an account with Email
	Failed            string
	Errors            form.Errors
}

func (s *Site) showRegister(c echo.Context) error {
	if _, ok := current(c).Member(); ok {
		return c.Redirect(http.StatusSeeOther, s.afterLogin(c.QueryParam("next")))
	}
	return s.registerPage(c, http.StatusOK, registerPage{Next: s.localPath(c.QueryParam("next"))})
}

func (s *Site) submitRegister(c echo.Context) error {
	sent, err := form.Parse(c.Request(), "name", "email", "password", "remember", "next")
	if err != nil {
		return err
	}
	remember := sent["remember"] != ""
	p := registerPage{Name: sent["name"], Email: sent["email"], Remember: remember, Next: s.localPath(sent["next"])}
	keys := []throttle.Key{byAddress(signUpRule(), c)}
	if s.MailOn {
		keys = append(keys, byEmail(mailRule(account.EmailWelcome), sent["email"]))
	}
	p.Failed, err = s.take(c, keys...)
	if err != nil {
		return err
	}
	if p.Failed != "" {
		return s.registerPage(c, http.StatusTooManyRequests, p)
	}
	person, err := s.Accounts.SignUp(c.Request().Context(), account.Registration{
		Name: sent["name"], Email: sent["email"], Password: sent["password"],
	}, s.MailOn, sender(c))
	taken := errors.Is(err, account.ErrEmailTaken)
	switch {
	case errors.As(err, &p.Errors):
		s.refund(c.Request().Context(), keys...)
		return s.registerPage(c, http.StatusUnprocessableEntity, p)
	case err != nil && !taken:
		s.refund(c.Request().Context(), keys...)
		return err
	case s.MailOn:
		return s.signedUp(c, person, taken)
	case taken:
		// There is no other way to tell the owner.
		// The same form sent twice, because its answer was lost or said that
		// logging in had not worked, is a log-in, and a try of a password.
		person, early, err := s.authenticate(c, sent["email"], sent["password"])
		switch {
		case early != "":
			p.Failed = early
			return s.registerPage(c, http.StatusTooManyRequests, p)
		case err == nil:
			if err := s.completeLogin(c, person, remember, false); err != nil {
				return err
			}
			return c.Redirect(http.StatusSeeOther, s.afterLogin(sent["next"]))
		case !errors.Is(err, account.ErrInvalidCredentials):
			return err
		}
		p.Taken = true
		p.Errors.Add("email", "There is already an account with this e-mail. If it is yours, log in.")
		return s.registerPage(c, http.StatusUnprocessableEntity, p)
	}
	s.logEvent(c, string(account.EventSignUp), person.ID)
	if err := s.completeLogin(c, person, remember, true); err != nil {
		return unavailableAfter(errAccountMade, err)
	}
	return c.Redirect(http.StatusSeeOther, s.afterLogin(sent["next"]))
}

// signedUp answers alike whether or not the address was taken (ASVS 5.0.0,
// 6.3.8), and so logs nobody in: the mail tells its owner which it was.
func (s *Site) signedUp(c echo.Context, person account.Person, taken bool) error {
	if !taken {
		s.logEvent(c, string(account.EventSignUp), person.ID)
	}
	s.setFlashCookie(c, flashSignedUp)
	return c.Redirect(http.StatusSeeOther, "/login")
}

func (s *Site) registerPage(c echo.Context, status int, p registerPage) error {
	p.MinPassword, p.MaxName, p.RememberDays = s.MinPassword, account.MaxNameRunes, s.rememberDays()
	return s.page(c, status, "register", "Create an account", p)
}
