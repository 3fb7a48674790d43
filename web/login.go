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
	person, err := s.Accounts.Authenticate(c.Request().Context(), sent["email"], sent["password"])
	if errors.Is(err, account.ErrInvalidCredentials) {
		p.Errors.Add("email", "That e-mail and password do not match.")
		return s.loginPage(c, http.StatusUnprocessableEntity, p)
	}
	if err != nil {
		return err
	}
	current(c).LogIn(session.Member{ID: person.ID, Name: person.Name, Remember: remember}, sender(c))
	return c.Redirect(http.StatusSeeOther, s.afterLogin(sent["next"]))
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
