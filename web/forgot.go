package web

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
)

type forgotPage struct {
	Email  string
	Mails  bool // whether mail is read at /mail
	Failed string
	Errors form.Errors
}

func (s *Site) showForgot(c echo.Context) error {
	return s.forgotPage(c, http.StatusOK, forgotPage{})
}

// submitForgot answers alike whether or not the address has an account: who has
// it is looked for when the mail is sent.
func (s *Site) submitForgot(c echo.Context) error {
	sent, err := form.Parse(c.Request(), "email")
	if err != nil {
		return err
	}
	again := forgotPage{Email: sent["email"]}
	mails := byEmail(mailRule(account.EmailReset), sent["email"])
	again.Failed, err = s.take(c, byAddress(formRule(), c), mails)
	if err != nil {
		return err
	}
	if again.Failed != "" {
		return s.forgotPage(c, http.StatusTooManyRequests, again)
	}
	err = s.Accounts.AskReset(c.Request().Context(), sent["email"], sender(c))
	if errors.As(err, &again.Errors) {
		return s.forgotPage(c, http.StatusUnprocessableEntity, again)
	}
	if err != nil {
		s.refund(c.Request().Context(), mails) // none will be sent
		return err
	}
	s.setFlashCookie(c, flashResetAsked)
	return c.Redirect(http.StatusSeeOther, "/login")
}

func (s *Site) forgotPage(c echo.Context, status int, p forgotPage) error {
	p.Mails = s.Mails != nil
	return s.page(c, status, "forgot", "Forgotten password", p)
}
