package web

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/form"
	"holdfast/internal/session"
)

// submitLogout ends this session; where several cookies of its name came, those
// of all of them.
func (s *Site) submitLogout(c echo.Context) error {
	if _, err := form.Parse(c.Request()); err != nil {
		return err
	}
	var tokens []string
	for _, cookie := range c.Request().CookiesNamed(s.Sessions.CookieName()) {
		tokens = append(tokens, cookie.Value)
	}
	current(c).LogOut(tokens...)
	return s.goodbye(c)
}

// goodbye answers a request that has logged its sender out. The browser is
// also told to drop pages it has cached, so that Back shows nothing private
// (ASVS 5.0 14.3.1).
func (s *Site) goodbye(c echo.Context) error {
	if err := s.Sessions.Commit(current(c)); errors.Is(err, session.ErrOutcomeUnknown) {
		return unavailableAfter(errLogOutUnknown, err)
	} else if err != nil {
		return err
	}
	s.part(c, partingLoggedOut)
	c.Response().Header().Set("Clear-Site-Data", `"cache"`)
	return c.Redirect(http.StatusSeeOther, "/login")
}
