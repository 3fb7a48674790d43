package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/session"
)

type passwordPage struct {
	Email       string // for the password manager
	MinPassword int    // code points
	problems
}

func (s *Site) showPassword(c echo.Context, person account.Person) error {
	wrong := problemsOf(c)
	return s.Render(c, wrong.status(), "password", "Change your password", passwordPage{person.Email, s.MinPassword, wrong})
}

// submitPassword changes the password, revokes every other session, and gives this one
// a new token.
func (s *Site) submitPassword(c echo.Context) error {
	sent := formOf(c)
	member, _ := memberOf(c)
	person, err := s.Accounts.ChangePassword(c.Request().Context(), member.ID, account.PasswordChange{
		Current: sent["current"], New: sent["new"], Keep: member.Device, Tokens: s.deviceTokens(c.Request()), From: sender(c),
	})
	if err != nil {
		return s.wrongPassword(c, err, "current", "That is not your current password.")
	}
	s.logEvent(c, account.EventPasswordChanged, person.ID)
	current(c).ReplacedBy(session.RevokedByPassword)
	notice := s.flashText(flashPassword + s.revoke(c, person.ID))
	if err := s.startSession(c, person, member.Remember, notice); err != nil {
		return unavailableAfter(errPasswordSet, err)
	}
	return c.Redirect(http.StatusSeeOther, "/account")
}

// showChangePassword redirects from the URL where password managers look for the form
// (W3C, "A Well-Known URL for Changing Passwords").
func (s *Site) showChangePassword(c echo.Context) error {
	return c.Redirect(http.StatusSeeOther, "/account/password")
}
