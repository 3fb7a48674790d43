package web

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

type forgotPage struct {
	Email string
	Mails bool // whether email can be read at /mail
	problems
}

func (s *Site) showForgot(c echo.Context) error {
	wrong := problemsOf(c)
	return s.Render(c, wrong.status(), "forgot", "Forgotten your password?", forgotPage{formOf(c)["email"], s.Mails != nil, wrong})
}

// submitForgot responds the same whether or not the address has an account: the account
// is looked up only when the email is sent.
func (s *Site) submitForgot(c echo.Context) error {
	if err := s.Accounts.AskReset(c.Request().Context(), formOf(c)["email"], sender(c)); err != nil {
		return err
	}
	s.setFlashCookie(c, flashResetAsked)
	return c.Redirect(http.StatusSeeOther, "/login")
}
