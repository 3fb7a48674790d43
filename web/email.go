package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
)

type emailPage struct {
	Now   string
	Email string
	problems
}

func (s *Site) showEmail(c echo.Context) error {
	return s.emailPage(c, http.StatusOK, emailPage{Email: typedBefore(c, "email")})
}

// submitEmail has a mail sent to the new address, which changes nothing before
// it is confirmed. The answer is the same whether or not the address is free.
func (s *Site) submitEmail(c echo.Context) error {
	sent, err := form.Parse(c.Request(), "email")
	if err != nil {
		return err
	}
	member, _ := current(c).Member()
	if err := s.Accounts.AskEmail(c.Request().Context(), member.ID, sent["email"], sender(c)); err != nil {
		return s.refuse(c, err, func(status int, wrong problems) error {
			return s.emailPage(c, status, emailPage{Email: sent["email"], problems: wrong})
		})
	}
	s.logEvent(c, string(account.EventEmailChangeAsked), member.ID)
	return s.mailAsked(c, "A mail is on its way to the new address. Nothing changes before you open its link.")
}

func (s *Site) emailPage(c echo.Context, status int, p emailPage) error {
	person, err := s.ownAccount(c)
	if err != nil {
		return err
	}
	p.Now = person.Email
	return s.Render(c, status, "email", "Change your e-mail address", p)
}

// submitConfirmAgain sends the email that confirms the address again.
func (s *Site) submitConfirmAgain(c echo.Context) error {
	if _, err := form.Parse(c.Request()); err != nil {
		return err
	}
	member, _ := current(c).Member()
	person, err := s.Accounts.AskConfirm(c.Request().Context(), member.ID, sender(c))
	if err != nil {
		return s.refuse(c, err, func(status int, wrong problems) error {
			return s.accountPage(c, status, accountPage{Name: person.Name, problems: wrong})
		})
	}
	return s.mailAsked(c, "A mail is on its way to "+person.Email+".")
}

// mailAsked tells a person who is logged in about an email that will be sent, also
// when the session cannot be stored.
func (s *Site) mailAsked(c echo.Context, notice string) error {
	current(c).Flash(notice + s.whereMailIs())
	if err := s.commit(c, c.Response()); err != nil {
		return unavailableAfter(errMailAsked, err)
	}
	return c.Redirect(http.StatusSeeOther, "/account")
}

// readMail ends a notice of mail that is read on this site. Pages show it as a
// link.
const readMail = " Read it at /mail."

// whereMailIs goes on after a sentence about mail, where no mail server is set.
func (s *Site) whereMailIs() string {
	switch {
	case s.MailOn:
		return ""
	case s.Mails != nil:
		return " This server sends none." + readMail
	default:
		return " This server sends none: its operator can pass it on."
	}
}
