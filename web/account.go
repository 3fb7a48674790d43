package web

import (
	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
)

type accountPage struct {
	Current     string // the name
	Name, Email string // Name is what the user typed, or the current name
	Editing     bool   // whether the name form is open
	MaxName     int    // code points
	Verified    bool
	PasswordSet Moment // zero if it was set before the history begins
	MailOn      bool
	Mails       bool // whether email can be read at /mail
	problems
}

// showAccount shows the account forms. A name in the query was typed before the session
// ended: see carried.
func (s *Site) showAccount(c echo.Context, person account.Person) error {
	set, err := s.Accounts.PasswordSet(c.Request().Context(), person)
	if err != nil {
		return err
	}
	p := accountPage{
		Current: person.Name, Name: typed(c, "name"), Email: person.Email, MaxName: account.MaxNameRunes,
		Verified: person.Verified, MailOn: s.MailOn, Mails: s.Mails != nil, problems: problemsOf(c),
	}
	p.Editing = p.Name != "" || p.Errors != nil
	if !p.Editing {
		p.Name = person.Name
	}
	if !set.IsZero() {
		p.PasswordSet = MomentAt(set, s.Now())
	}
	return s.Render(c, p.status(), "account", "Account", p)
}

// submitName changes the member's name. All their sessions show the new name from the
// next request.
func (s *Site) submitName(c echo.Context) error {
	ctx := c.Request().Context()
	member, _ := memberOf(c)
	person, err := s.Accounts.Rename(ctx, member.ID, formOf(c)["name"])
	if err != nil {
		return err
	}
	s.audit(c, account.EventNameChanged)
	if err := s.Sessions.Rename(ctx, person.ID, person.Name); err != nil {
		return unavailableAfter(errNameChanged, err)
	}
	return s.done(c, errNameChanged, "/account", "Your name has been changed.")
}

// withAccount returns a handler that calls h with the logged-in member's account.
func (s *Site) withAccount(h func(c echo.Context, person account.Person) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		member, _ := memberOf(c)
		person, err := s.Accounts.Find(c.Request().Context(), member.ID)
		if err != nil {
			return err
		}
		return h(c, person)
	}
}
