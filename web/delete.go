package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
)

type deletePage struct {
	Now   string // the address of the account
	Email string // what was typed
	problems
}

func (s *Site) showDelete(c echo.Context) error {
	return s.deletePage(c, http.StatusOK, deletePage{})
}

// submitDelete deletes the account of the sender, for good.
func (s *Site) submitDelete(c echo.Context) error {
	sent, err := form.Parse(c.Request(), "email")
	if err != nil {
		return err
	}
	member, _ := current(c).Member()
	ended, err := s.Accounts.Close(c.Request().Context(), member.ID, sent["email"], sender(c))
	if err != nil {
		return s.refuse(c, err, func(status int, wrong problems) error {
			return s.deletePage(c, status, deletePage{Email: sent["email"], problems: wrong})
		})
	}
	s.logEvent(c, string(account.EventDeleted), member.ID)
	s.revoked(c, s.Sessions.RevokeKeys(c.Request().Context(), s.Revocations, ended))
	current(c).LogOut()
	if err := s.commit(c, c.Response()); err != nil {
		return unavailableAfter(errDeleted, err)
	}
	s.setFlashCookie(c, flashDeleted)
	return c.Redirect(http.StatusSeeOther, "/")
}

func (s *Site) deletePage(c echo.Context, status int, p deletePage) error {
	person, err := s.ownAccount(c)
	if err != nil {
		return err
	}
	p.Now = person.Email
	return s.Render(c, status, "delete", "Delete your account", p)
}
