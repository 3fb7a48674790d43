package web

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
)

type accountPage struct {
	Name, Email string
	Verified    bool
	MailOn      bool
	Failed      string
	Errors      form.Errors
}

func (s *Site) showAccount(c echo.Context) error {
	return s.accountPage(c, http.StatusOK, accountPage{})
}

// submitName changes what the person is called. Every session of theirs greets
// by the new name from its next request on.
func (s *Site) submitName(c echo.Context) error {
	sent, err := form.Parse(c.Request(), "name")
	if err != nil {
		return err
	}
	ctx, whose := c.Request().Context(), current(c)
	member, _ := whose.Member()
	person, err := s.Accounts.Rename(ctx, member.ID, sent["name"])
	again := accountPage{Name: sent["name"]}
	if errors.As(err, &again.Errors) {
		return s.accountPage(c, http.StatusUnprocessableEntity, again)
	}
	if err != nil {
		return err
	}
	if err := s.Sessions.Rename(ctx, person.ID, person.Name); err != nil {
		return err
	}
	s.note(c, account.EventNameChanged, person.ID)
	whose.Flash("Your name is changed.")
	return c.Redirect(http.StatusSeeOther, "/account")
}

func (s *Site) accountPage(c echo.Context, status int, p accountPage) error {
	member, _ := current(c).Member()
	person, err := s.Accounts.Find(c.Request().Context(), member.ID)
	if err != nil {
		return err
	}
	if status == http.StatusOK {
		p.Name = person.Name
	}
	p.Email, p.Verified, p.MailOn = person.Email, person.Verified, s.MailOn
	return s.page(c, status, "account", "Account", p)
}
