package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
	"holdfast/internal/session"
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
	person, err := s.Accounts.Authenticate(c.Request().Context(), sent["email"], sent["password"])
	if errors.Is(err, account.ErrNoMatch) {
		again.Failed = "That e-mail and password do not match."
		return s.loginPage(c, http.StatusUnprocessableEntity, again)
	}
	if err != nil {
		return err
	}
	return s.letIn(c, person, remember, sent["next"])
}

// letIn logs in a person who has proved who they are, and sends them on. It
// stores the session, so that its failure can be told.
func (s *Site) letIn(c echo.Context, person account.Person, remember bool, next string) error {
	current(c).LogIn(session.Member{ID: person.ID, Name: person.Name, Remember: remember}, sender(c))
	if err := s.Sessions.Commit(current(c)); err != nil {
		return unavailableAfter(errNotLoggedIn, err)
	}
	return c.Redirect(http.StatusSeeOther, s.afterLogin(next))
}

func (s *Site) loginPage(c echo.Context, status int, p loginPage) error {
	p.RememberDays = int(s.RememberFor / (24 * time.Hour))
	return s.page(c, status, "login", "Log in", p)
}
