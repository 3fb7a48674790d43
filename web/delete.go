package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
)

type deletePage struct {
	Now   string // the address of the account
	Email string // what was typed
	problems
}

func (s *Site) showDelete(c echo.Context) error {
	person, err := s.ownAccount(c)
	if err != nil {
		return err
	}
	wrong := problemsOf(c)
	return s.Render(c, wrong.status(), "delete", "Delete your account", deletePage{person.Email, formOf(c)["email"], wrong})
}

// submitDelete deletes the account of the sender, for good.
func (s *Site) submitDelete(c echo.Context) error {
	member, _ := memberOf(c)
	ended, err := s.Accounts.Close(c.Request().Context(), member.ID, formOf(c)["email"], sender(c))
	if err != nil {
		return err
	}
	s.logEvent(c, string(account.EventDeleted), member.ID)
	later := s.revoked(c, s.Sessions.RevokeKeys(c.Request().Context(), s.Stores.Revocations(), ended))
	current(c).LogOut()
	if err := s.commit(c, c.Response()); err != nil {
		return unavailableAfter(errDeleted, err)
	}
	s.setFlashCookie(c, flashDeleted+later)
	return c.Redirect(http.StatusSeeOther, "/")
}
