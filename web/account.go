package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
)

type accountPage struct {
	Name, Email string
	MaxName     int // code points
	Verified    bool
	MailOn      bool
	Mails       bool // whether mail is read at /mail
	problems
}

// showAccount shows the forms. A name in the query is one that was typed before
// its session ended: see carried.
func (s *Site) showAccount(c echo.Context) error {
	return s.accountPage(c, http.StatusOK, accountPage{Name: typedBefore(c, "name")})
}

// submitName changes the person's name. All their sessions show the new one from
// their next request on.
func (s *Site) submitName(c echo.Context) error {
	sent, err := form.Parse(c.Request(), "name")
	if err != nil {
		return err
	}
	ctx, sess := c.Request().Context(), current(c)
	member, _ := sess.Member()
	person, err := s.Accounts.Rename(ctx, member.ID, sent["name"])
	if err != nil {
		return s.refuse(c, err, func(status int, wrong problems) error {
			return s.accountPage(c, status, accountPage{Name: sent["name"], problems: wrong})
		})
	}
	s.audit(c, account.EventNameChanged, person.ID)
	sess.Flash("Your name has been changed.")
	err = s.Sessions.Rename(ctx, person.ID, person.Name)
	if err == nil {
		err = s.Sessions.Commit(sess)
	}
	if err != nil {
		return unavailableAfter(errNameChanged, err)
	}
	return c.Redirect(http.StatusSeeOther, "/account")
}

func (s *Site) accountPage(c echo.Context, status int, p accountPage) error {
	person, err := s.ownAccount(c)
	if err != nil {
		return err
	}
	if status == http.StatusOK && p.Name == "" {
		p.Name = person.Name
	}
	p.Email, p.MaxName = person.Email, account.MaxNameRunes
	p.Verified, p.MailOn, p.Mails = person.Verified, s.MailOn, s.Mails != nil
	return s.Render(c, status, "account", "Account", p)
}

// ownAccount is the account of the sender.
func (s *Site) ownAccount(c echo.Context) (account.Person, error) {
	member, _ := current(c).Member()
	return s.Accounts.Find(c.Request().Context(), member.ID)
}
