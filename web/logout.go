package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/form"
)

// submitLogout ends this session.
func (s *Site) submitLogout(c echo.Context) error {
	if _, err := form.Parse(c.Request()); err != nil {
		return err
	}
	current(c).LogOut()
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
