package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
)

// submitLogout ends the session of the request.
func (s *Site) submitLogout(c echo.Context) error {
	if _, err := form.Parse(c.Request()); err != nil {
		return err
	}
	return s.leave(c)
}

// leave ends this session now, so that it can be told of.
func (s *Site) leave(c echo.Context) error {
	member, known := current(c).Member()
	current(c).LogOut()
	if err := s.commit(c, c.Response()); err != nil {
		return err
	}
	if known {
		s.note(c, account.EventLogOut, member.ID)
	}
	return s.redirectLoggedOut(c)
}

// redirectLoggedOut responds to a request that has ended its own session.
func (s *Site) redirectLoggedOut(c echo.Context) error {
	s.setFlashCookie(c, flashLoggedOut)
	return c.Redirect(http.StatusSeeOther, "/login")
}
