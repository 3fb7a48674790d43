package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/form"
)

// submitLogout ends the session of the request.
func (s *Site) submitLogout(c echo.Context) error {
	if _, err := form.Parse(c.Request()); err != nil {
		return err
	}
	current(c).LogOut()
	return s.redirectLoggedOut(c)
}

// redirectLoggedOut responds to a request that has ended its own session.
func (s *Site) redirectLoggedOut(c echo.Context) error {
	s.setFlashCookie(c, flashLoggedOut)
	return c.Redirect(http.StatusSeeOther, "/login")
}
