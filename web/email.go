package web

import (
	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
)

type emailPage struct {
	Now   string
	Email string
	problems
}

func (s *Site) showEmail(c echo.Context) error {
	person, err := s.ownAccount(c)
	if err != nil {
		return err
	}
	wrong := problemsOf(c)
	return s.Render(c, wrong.status(), "email", "Change your email address", emailPage{person.Email, typed(c, "email"), wrong})
}

// submitEmail sends an email to the new address. Nothing changes until it is
// confirmed. The answer is the same whether or not the address is free.
func (s *Site) submitEmail(c echo.Context) error {
	member, _ := memberOf(c)
	if err := s.Accounts.AskEmail(c.Request().Context(), member.ID, formOf(c)["email"], sender(c)); err != nil {
		return err
	}
	s.logEvent(c, string(account.EventEmailChangeAsked), member.ID)
	return s.done(c, errMailAsked, "/account", s.mailNotice("An email is on its way to your new address. Nothing changes until you open the link in it.",
		"We wrote an email to your new address."))
}

// submitConfirmAgain sends the email that confirms the address again.
func (s *Site) submitConfirmAgain(c echo.Context) error {
	member, _ := memberOf(c)
	person, err := s.Accounts.AskConfirm(c.Request().Context(), member.ID, sender(c))
	if err != nil {
		return err
	}
	return s.done(c, errMailAsked, "/account", s.mailNotice("An email is on its way to "+person.Email+".", "We wrote you an email."))
}

// readMail ends a notice of an email that is read on this site. Pages show a link
// instead.
const readMail = " read it at /mail."

// mailNotice returns what to say of an email that was asked for: sent where a
// mail server is set, and otherwise written, followed by where to read it.
func (s *Site) mailNotice(sent, written string) string {
	switch {
	case s.MailOn:
		return sent
	case s.Mails != nil:
		return written + " No mail server is set up, so" + readMail
	default:
		return written + " No mail server is set up. Ask the administrator of this site for the email."
	}
}
