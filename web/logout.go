package web

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/fault"
)

// maxLogOuts is how many cookies of the session cookie's name a logout looks at. A
// browser sends several if they are set for several paths or domains.
const maxLogOuts = 4

// submitLogout revokes this session; where several cookies of its name came, those
// of all of them. It stores that before the response, so that a failure can be shown.
func (s *Site) submitLogout(c echo.Context) error {
	var tokens []string
	cookies := c.Request().CookiesNamed(s.Sessions.CookieName())
	for _, cookie := range cookies[:min(len(cookies), maxLogOuts)] {
		tokens = append(tokens, cookie.Value)
	}
	member, known := current(c).Member()
	current(c).LogOut(tokens...)
	if err := s.Sessions.Commit(current(c)); errors.Is(err, fault.ErrOutcomeUnknown) {
		return unavailableAfter(errLogOutUnknown, err)
	} else if err != nil {
		return err
	}
	s.setFlashCookie(c, flashLoggedOut)
	if known {
		s.audit(c, account.EventLogOut, member.ID)
	}
	return c.Redirect(http.StatusSeeOther, "/login")
}
