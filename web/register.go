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
	RememberFor       string
	MinPassword       int  // code points
	Taken             bool // someone has an account with Email
	problems
}

// emailTaken is the error for a form whose email address already has an account.
const emailTaken = "There is already an account with this email address. If it is yours, log in."

func (s *Site) showRegister(c echo.Context) error {
	sent, wrong := formOf(c), problemsOf(c)
	if _, ok := current(c).Member(); ok && sent == nil {
		return c.Redirect(http.StatusSeeOther, s.afterLogin(c.QueryParam("next")))
	}
	return s.Render(c, wrong.status(), "register", "Create an account", registerPage{
		Name: sent["name"], Email: sent["email"], Next: s.nextOf(c), Remember: sent["remember"] != "", RememberFor: Lasting(s.Sessions.Limits().Remember),
		MinPassword: s.MinPassword, Taken: wrong.Errors.Of("email") == emailTaken, problems: wrong,
	})
}

func (s *Site) submitRegister(c echo.Context) error {
	sent := formOf(c)
	remember := sent["remember"] != ""
	person, err := s.Accounts.SignUp(c.Request().Context(), account.Registration{
		Name: sent["name"], Email: sent["email"], Password: sent["password"],
	}, s.MailOn, sender(c))
	if err == nil {
		s.logEvent(c, account.EventSignUp, person.ID)
	}
	taken := errors.Is(err, account.ErrEmailTaken)
	switch {
	case s.MailOn && (err == nil || taken):
		// The response is the same whether or not the address was taken (ASVS 5.0.0,
		// 6.3.8), so it starts no session. The email says which it was.
		s.setFlashCookie(c, flashSignedUp)
		return c.Redirect(http.StatusSeeOther, "/login")
	case taken:
		// The owner gets no email, so the page has to say it. The same form sent twice,
		// because its response was lost or said that the login failed, is a login and
		// counts as an attempt.
		if err = s.logIn(c, sent["email"], sent["password"], remember); errors.Is(err, account.ErrInvalidCredentials) {
			err = form.Errors{{Field: "email", Message: emailTaken}}
		}
	case err == nil:
		err = s.firstLogin(c, person, remember)
	}
	if err != nil {
		return err
	}
	return s.loggedIn(c, sent["next"])
}

// firstLogin logs in a person who has just signed up.
func (s *Site) firstLogin(c echo.Context, person account.Person, remember bool) error {
	token, err := s.Accounts.RecordLogin(c.Request().Context(), person, account.Login{SignedUp: true, From: sender(c)})
	if err == nil {
		err = s.completeLogin(c, person, token, remember, account.EventLogIn)
	}
	return unavailableAfter(errAccountMade, err)
}
