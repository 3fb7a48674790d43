package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/form"
)

type forgotPage struct {
	Email string
	Mails bool // whether mail is read at /mail
	problems
}

func (s *Site) showForgot(c echo.Context) error {
	return s.forgotPage(c, http.StatusOK, forgotPage{})
}

// submitForgot answers alike whether or not the address has an account: who has
// it is looked for when the email is sent.
func (s *Site) submitForgot(c echo.Context) error {
	sent, err := form.Parse(c.Request(), "email")
	if err != nil {
		return err
	}
	if err := s.Accounts.AskReset(c.Request().Context(), sent["email"], sender(c)); err != nil {
		return s.refuse(c, err, func(status int, wrong problems) error {
			return s.forgotPage(c, status, forgotPage{Email: sent["email"], problems: wrong})
		})
	}
	s.setFlashCookie(c, flashResetAsked)
	return c.Redirect(http.StatusSeeOther, "/login")
}

func (s *Site) forgotPage(c echo.Context, status int, p forgotPage) error {
	p.Mails = s.Mails != nil
	return s.Render(c, status, "forgot", "Forgotten your password?", p)
}
