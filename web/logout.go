package web

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/fault"
	"holdfast/internal/form"
)

// submitLogout ends this session; where several cookies of its name came, those
// of all of them.
func (s *Site) submitLogout(c echo.Context) error {
	if _, err := form.Parse(c.Request()); err != nil {
		return err
	}
	return s.leave(c)
}

// leave revokes this session before the response, so that a failure can be shown.
func (s *Site) leave(c echo.Context) error {
	var tokens []string
	for _, cookie := range c.Request().CookiesNamed(s.Sessions.CookieName()) {
		tokens = append(tokens, cookie.Value)
	}
	member, known := current(c).Member()
	current(c).LogOut(tokens...)
	if err := s.redirectLoggedOut(c); err != nil {
		return err
	}
	if known {
		s.audit(c, account.EventLogOut, member.ID)
	}
	return nil
}

// redirectLoggedOut responds to a request that has revoked its own session. It
// stores that first, so that a failure can be shown.
func (s *Site) redirectLoggedOut(c echo.Context) error {
	if err := s.Sessions.Commit(current(c)); errors.Is(err, fault.ErrOutcomeUnknown) {
		return unavailableAfter(errLogOutUnknown, err)
	} else if err != nil {
		return err
	}
	s.setFlashCookie(c, flashLoggedOut)
	return c.Redirect(http.StatusSeeOther, "/login")
}
