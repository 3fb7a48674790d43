package web

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
)

type registerPage struct {
	Name, Email, Next string
	Remember          bool
	RememberDays      int
	MinPassword       int  // code points
	Taken             bool // someone has an account with Email
	problems
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
	ctx := c.Request().Context()
	p := registerPage{Name: sent["name"], Email: sent["email"], Remember: sent["remember"] != "", Next: s.localPath(sent["next"])}
	person, err := s.Accounts.SignUp(ctx, account.Registration{
		Name: sent["name"], Email: sent["email"], Password: sent["password"],
	}, s.MailOn, sender(c))
	taken := errors.Is(err, account.ErrEmailTaken)
	if s.MailOn && (err == nil || taken) {
		return s.signedUp(c, person, taken)
	}
	if taken {
		// The owner is not emailed, so the page has to say it. The same form sent
		// twice, because its answer was lost or said that logging in had not worked,
		// is a login, and counts as an attempt.
		if err = s.logIn(c, sent["email"], sent["password"], p.Remember); errors.Is(err, account.ErrInvalidCredentials) {
			p.Taken = true
			err = form.Errors{{Field: "email", Message: "There is already an account with this email address. If it is yours, log in."}}
		}
	} else if err == nil {
		err = s.firstLogin(c, person, p.Remember)
	}
	if err != nil {
		return s.refuse(c, err, func(status int, wrong problems) error {
			p.problems = wrong
			return s.registerPage(c, status, p)
		})
	}
	return c.Redirect(http.StatusSeeOther, s.afterLogin(sent["next"]))
}

// firstLogin logs in a person who has just signed up.
func (s *Site) firstLogin(c echo.Context, person account.Person, remember bool) error {
	s.logEvent(c, string(account.EventSignUp), person.ID)
	token, err := s.Accounts.RecordLogin(c.Request().Context(), person, account.Login{SignedUp: true, From: sender(c)})
	if err == nil {
		err = s.completeLogin(c, person, token, remember, account.EventLogIn)
	}
	return unavailableAfter(errAccountMade, err)
}

// signedUp answers alike whether or not the address was taken (ASVS 5.0.0,
// 6.3.8), and so starts no session: the email tells the owner which it was.
func (s *Site) signedUp(c echo.Context, person account.Person, taken bool) error {
	if !taken {
		s.logEvent(c, string(account.EventSignUp), person.ID)
	}
	s.setFlashCookie(c, flashSignedUp)
	return c.Redirect(http.StatusSeeOther, "/login")
}

func (s *Site) registerPage(c echo.Context, status int, p registerPage) error {
	p.MinPassword, p.RememberDays = s.MinPassword, s.rememberDays()
	return s.Render(c, status, "register", "Create an account", p)
}
