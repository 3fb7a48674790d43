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
	MaxName           int  // code points
	MinPassword       int  // code points
	Taken             bool // someone has an account with Email
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
	person, err := s.Accounts.Register(c.Request().Context(), account.Registration{
		Name: sent["name"], Email: sent["email"], Password: sent["password"],
	})
	remember := sent["remember"] != ""
	p := registerPage{Name: sent["name"], Email: sent["email"], Remember: remember, Next: s.localPath(sent["next"])}
	if errors.Is(err, account.ErrEmailTaken) {
		// The same form sent twice, because its answer was lost or said that
		// logging in had not worked, is a log-in.
		person, err := s.Accounts.Authenticate(c.Request().Context(), sent["email"], sent["password"])
		if err == nil {
			return s.letIn(c, person, remember, sent["next"])
		}
		if !errors.Is(err, account.ErrInvalidCredentials) {
			return err
		}
		p.Taken = true
		p.Errors.Add("email", "There is already an account with this e-mail. If it is yours, log in.")
		return s.registerPage(c, http.StatusUnprocessableEntity, p)
	}
	if errors.As(err, &p.Errors) {
		return s.registerPage(c, http.StatusUnprocessableEntity, p)
	}
	if err != nil {
		return err
	}
	if err := s.letIn(c, person, remember, sent["next"]); err != nil {
		return unavailableAfter(errAccountMade, err)
	}
	return nil
}

func (s *Site) registerPage(c echo.Context, status int, p registerPage) error {
	p.MinPassword, p.MaxName, p.RememberDays = s.MinPassword, account.MaxNameRunes, s.rememberDays()
	return s.page(c, status, "register", "Create an account", p)
}
