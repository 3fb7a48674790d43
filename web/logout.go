package web

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/fault"
)

// maxLogOuts is how many cookies with the session cookie's name a logout reads. A
// browser sends several if they were set for several paths or domains.
const maxLogOuts = 4

// submitLogout revokes this session or, if the request has several cookies with that
// name, the sessions of all of them. It commits before it responds, so it can report a
// failure.
func (s *Site) submitLogout(c echo.Context) error {
	var tokens []string
	cookies := c.Request().CookiesNamed(s.sessionCookie)
	for _, cookie := range cookies[:min(len(cookies), maxLogOuts)] {
		tokens = append(tokens, cookie.Value)
	}
	current(c).LogOut(tokens...)
	if err := s.Sessions.Commit(current(c)); errors.Is(err, fault.ErrOutcomeUnknown) {
		return unavailableAfter(errLogOutUnknown, err)
	} else if err != nil {
		return err
	}
	s.setFlashCookie(c, flashLoggedOut)
	s.audit(c, account.EventLogOut)
	return c.Redirect(http.StatusSeeOther, "/login")
}
