package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
	"holdfast/internal/session"
)

type passwordPage struct {
	Email       string // for the password manager
	MinPassword int    // code points
	problems
}

func (s *Site) showPassword(c echo.Context) error {
	return s.passwordPage(c, http.StatusOK, passwordPage{})
}

// submitPassword changes the password, ends every other session, and gives this
// one a new token.
func (s *Site) submitPassword(c echo.Context) error {
	sent, err := form.Parse(c.Request(), "current", "new")
	if err != nil {
		return err
	}
	member, _ := current(c).Member()
	person, err := s.changePassword(c, member, sent["current"], sent["new"])
	if err != nil {
		return s.refuse(c, err, func(status int, wrong problems) error {
			return s.passwordPage(c, status, passwordPage{problems: wrong})
		})
	}
	s.logEvent(c, string(account.EventPasswordChanged), person.ID)
	s.revoke(c, person.ID)
	if err := s.startSession(c, person, member.Remember, "Your password has been changed, and you are logged out on all other devices."); err != nil {
		return unavailableAfter(errPasswordSet, err)
	}
	return c.Redirect(http.StatusSeeOther, "/account")
}

func (s *Site) changePassword(c echo.Context, member session.Member, present, fresh string) (account.Person, error) {
	if present == "" {
		return account.Person{}, form.Errors{{Field: "current", Message: "Enter your current password."}}
	}
	person, err := s.Accounts.ChangePassword(c.Request().Context(), member.ID, account.PasswordChange{
		Current: present, New: fresh, Keep: member.Device, Tokens: s.deviceTokens(c.Request()), From: sender(c),
	})
	return person, s.wrongPassword(c, err, "current", "That is not your current password.")
}

func (s *Site) passwordPage(c echo.Context, status int, p passwordPage) error {
	person, err := s.ownAccount(c)
	if err != nil {
		return err
	}
	p.Email, p.MinPassword = person.Email, s.MinPassword
	return s.Render(c, status, "password", "Change your password", p)
}

// showChangePassword is where password managers look for it (W3C, "A Well-Known URL
// for Changing Passwords").
func (s *Site) showChangePassword(c echo.Context) error {
	return c.Redirect(http.StatusSeeOther, "/account/password")
}
