package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
)

// submitLogout ends this session.
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
	if err := s.conclude(c, c.Response()); err != nil {
		return err
	}
	if known {
		s.note(c, account.EventLogOut, member.ID)
	}
	return s.goodbye(c)
}

// goodbye answers a request that has logged its sender out. The browser is
// also told to drop pages it has cached, so that Back shows nothing private
// (ASVS 5.0 14.3.1).
func (s *Site) goodbye(c echo.Context) error {
	s.part(c, partingLoggedOut)
	c.Response().Header().Set("Clear-Site-Data", `"cache"`)
	return c.Redirect(http.StatusSeeOther, "/login")
}
