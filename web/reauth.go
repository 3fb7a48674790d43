package web

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
	"holdfast/internal/throttle"
)

// reauthLife is how long giving the password counts for what may do harm (ASVS
// 5.0.0, 7.5.1; the number is Phoenix's).
const reauthLife = 10 * time.Minute

type reauthPage struct {
	Next   string
	Failed string
	Errors form.Errors
}

// requireRecentPassword lets somebody on who has given their password within reauthLife, and
// sends everybody else to give it again, and then to where they were going.
func (s *Site) requireRecentPassword(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		// The session began when the password was given: giving it again begins a
		// new one.
		if age := s.Now().Sub(current(c).CreatedAt()); age < reauthLife {
			return next(c)
		}
		return c.Redirect(http.StatusSeeOther, reauthURL(s.whereTo(c)))
	}
}

func reauthURL(next string) string {
	return "/account/proof?next=" + url.QueryEscape(next)
}

func (s *Site) showReauth(c echo.Context) error {
	return s.page(c, http.StatusOK, "reauth", "Confirm that it is you", reauthPage{Next: s.localPath(c.QueryParam("next"))})
}

// submitReauth is a log-in over the same person: a new token and new deadlines.
func (s *Site) submitReauth(c echo.Context) error {
	sent, err := form.Parse(c.Request(), "password", "next")
	if err != nil {
		return err
	}
	member, _ := current(c).Member()
	again := reauthPage{Next: s.localPath(sent["next"])}
	person, early, err := s.reauthenticate(c, sent["password"])
	switch {
	case early != "":
		again.Failed = early
		return s.page(c, http.StatusTooManyRequests, "reauth", "Confirm that it is you", again)
	case errors.Is(err, account.ErrInvalidCredentials):
		again.Errors.Add("password", "That is not your password.")
		return s.page(c, http.StatusUnprocessableEntity, "reauth", "Confirm that it is you", again)
	case err != nil:
		return err
	}
	if err := s.startSession(c, person, member.Remember, "Thank you. For the next 10 minutes you are not asked again."); err != nil {
		return err
	}
	s.audit(c, account.EventReauth, person.ID)
	if again.Next == "" {
		again.Next = "/account"
	}
	return c.Redirect(http.StatusSeeOther, again.Next)
}

// reauthenticate verifies the password of whoever is logged in, as often as that may be
// tried.
func (s *Site) reauthenticate(c echo.Context, pass string) (person account.Person, early string, err error) {
	ctx := c.Request().Context()
	member, _ := current(c).Member()
	key := throttle.Key{Rule: reauthRule(), Subject: member.ID}
	if early, err = s.take(c, key); early != "" || err != nil {
		return person, early, err
	}
	person, err = s.Accounts.Reauthenticate(ctx, member.ID, pass)
	s.reauthDone(c, key, member.ID, err)
	return person, "", err
}

// reauthDone counts what became of a try of the password.
func (s *Site) reauthDone(c echo.Context, key throttle.Key, id string, err error) {
	switch {
	case err == nil:
		s.clear(c.Request().Context(), key)
	case errors.Is(err, account.ErrInvalidCredentials):
		s.audit(c, account.EventReauthFailed, id)
	default:
		s.refund(c.Request().Context(), key)
	}
}
