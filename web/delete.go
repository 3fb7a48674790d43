package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
)

func (s *Site) showDelete(c echo.Context) error {
	return s.page(c, http.StatusOK, "delete", "Delete your account", struct{}{})
}

// submitDelete deletes the account of whoever is logged in, for good.
func (s *Site) submitDelete(c echo.Context) error {
	if _, err := form.Parse(c.Request()); err != nil {
		return err
	}
	member, _ := current(c).Member()
	ended, err := s.Accounts.Close(c.Request().Context(), member.ID, from(c))
	if err != nil {
		return err
	}
	s.tell(c, string(account.EventDeleted), member.ID)
	s.revoked(c, s.Sessions.RevokeKeys(c.Request().Context(), s.Revocations, ended))
	current(c).LogOut()
	if err := s.commit(c, c.Response()); err != nil {
		return unavailableAfter(errDeleted, err)
	}
	s.setFlashCookie(c, flashDeleted)
	return c.Redirect(http.StatusSeeOther, "/")
}
