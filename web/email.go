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

func (s *Site) showEmail(c echo.Context, person account.Person) error {
	wrong := problemsOf(c)
	return s.Render(c, wrong.status(), "email", "Change your email address", emailPage{person.Email, typed(c, "email"), wrong})
}

// submitEmail sends an email to the new address. Nothing changes until the user
// confirms it. The response is the same whether or not the address is free.
func (s *Site) submitEmail(c echo.Context) error {
	member, _ := memberOf(c)
	if err := s.Accounts.AskEmail(c.Request().Context(), member.ID, formOf(c)["email"], sender(c)); err != nil {
		return err
	}
	s.logEvent(c, account.EventEmailChangeAsked, member.ID)
	return s.done(c, errMailAsked, "/account", s.mailNotice("An email is on its way to your new address. Nothing changes until you open the link in it.",
		"We wrote an email to your new address."))
}

// submitConfirmAgain sends another email to confirm the address.
func (s *Site) submitConfirmAgain(c echo.Context) error {
	member, _ := memberOf(c)
	person, err := s.Accounts.AskConfirm(c.Request().Context(), member.ID, sender(c))
	if err != nil {
		return err
	}
	return s.done(c, errMailAsked, "/account", s.mailNotice("An email is on its way to "+person.Email+".", "We wrote you an email."))
}

// readMail ends a notice about an email that can be read on this site. Pages replace it
// with a link.
const readMail = " read it at /mail."

// mailNotice returns the notice about a requested email: sent if a mail server is set
// up, and otherwise written, followed by where to read the email.
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
