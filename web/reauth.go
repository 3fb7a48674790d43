package web

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
)

// reauthLife is how long entering the password allows sensitive actions (ASVS 5.0.0,
// 7.5.1; the number is Phoenix's).
const reauthLife = 10 * time.Minute

// clockSkew is how far the clocks of two servers may differ. A login further in the
// future was dated by a clock that has since been set back, and is not recent.
const clockSkew = time.Minute

type reauthPage struct {
	Next, Email string
	problems
}

// requireRecentPassword passes requests of members who entered their password within
// reauthLife. It redirects others to enter it again, and from there to their page.
func (s *Site) requireRecentPassword(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		// The session began when the password was entered: entering it again begins a
		// new one.
		if age := s.Now().Sub(current(c).Times().Created); -clockSkew < age && age < reauthLife {
			return next(c)
		}
		return c.Redirect(http.StatusSeeOther, "/account/proof?next="+url.QueryEscape(s.whereTo(c)))
	}
}

func (s *Site) showReauth(c echo.Context, person account.Person) error {
	wrong := problemsOf(c)
	return s.Render(c, wrong.status(), "reauth", "Confirm it’s you", reauthPage{s.nextOf(c), person.Email, wrong})
}

// submitReauth logs in the same person again, with a new token and new deadlines.
func (s *Site) submitReauth(c echo.Context) error {
	if formOf(c)["password"] == "" {
		return form.Errors{{Field: "password", Message: "Enter your password."}}
	}
	member, _ := memberOf(c)
	person, err := s.Accounts.Reauthenticate(c.Request().Context(), member.ID, formOf(c)["password"], sender(c))
	if err != nil {
		return s.wrongPassword(c, err, "password", "That is not your password.")
	}
	if err := s.startSession(c, person, member.Remember, "Thank you. We won’t ask again for 10 minutes."); err != nil {
		return err
	}
	s.audit(c, account.EventReauth)
	return c.Redirect(http.StatusSeeOther, cmp.Or(s.nextOf(c), "/account"))
}

// wrongPassword turns account.ErrInvalidCredentials into an error of the form field.
func (s *Site) wrongPassword(c echo.Context, err error, field, message string) error {
	if !errors.Is(err, account.ErrInvalidCredentials) {
		return err
	}
	member, _ := current(c).Member()
	s.logEvent(c, account.EventReauthFailed, member.ID)
	wrong := form.Errors{{Field: field, Message: message}}
	more, _ := errors.AsType[form.Errors](err)
	return append(wrong, more...)
}
