package web

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
	"holdfast/internal/throttle"
)

type passwordPage struct {
	Email       string // for the password manager
	MinPassword int    // code points
	Failed      string
	Errors      form.Errors
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
	ctx := c.Request().Context()
	member, _ := current(c).Member()
	var again passwordPage
	if sent["current"] == "" {
		again.Errors.Add("current", "Enter your current password.")
		return s.passwordPage(c, http.StatusUnprocessableEntity, again)
	}
	key := throttle.Key{Rule: reauthRule(), Subject: member.ID}
	if again.Failed, err = s.take(c, key); err != nil {
		return err
	}
	if again.Failed != "" {
		return s.passwordPage(c, http.StatusTooManyRequests, again)
	}
	person, err := s.Accounts.ChangePassword(ctx, member.ID, account.PasswordChange{
		Current: sent["current"], New: sent["new"], Keep: member.Device,
		Tokens: s.deviceTokens(c.Request()), MayMail: s.mayMail, From: sender(c),
	})
	if errors.As(err, &again.Errors) {
		s.clear(ctx, key) // the present one was right
		return s.passwordPage(c, http.StatusUnprocessableEntity, again)
	}
	s.reauthDone(c, key, member.ID, err)
	if errors.Is(err, account.ErrInvalidCredentials) {
		again.Errors.Add("current", "That is not your current password.")
		return s.passwordPage(c, http.StatusUnprocessableEntity, again)
	}
	if err != nil {
		return err
	}
	s.logEvent(c, string(account.EventPasswordChanged), person.ID)
	s.revoke(c, person.ID)
	if err := s.startSession(c, person, member.Remember, "Your password is changed, and all other sessions have ended."); err != nil {
		return unavailableAfter(errPasswordSet, err)
	}
	return c.Redirect(http.StatusSeeOther, "/account")
}

func (s *Site) passwordPage(c echo.Context, status int, p passwordPage) error {
	member, _ := current(c).Member()
	person, err := s.Accounts.Find(c.Request().Context(), member.ID)
	if err != nil {
		return err
	}
	p.Email, p.MinPassword = person.Email, s.MinPassword
	return s.page(c, status, "password", "Change your password", p)
}

// changePassword is where password managers look for it (W3C, "A Well-Known URL
// for Changing Passwords").
func (s *Site) changePassword(c echo.Context) error {
	return c.Redirect(http.StatusSeeOther, "/account/password")
}
