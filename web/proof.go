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

// proofLife is how long giving the password counts for what may do harm (ASVS
// 5.0.0, 7.5.1; the number is Phoenix's).
const proofLife = 10 * time.Minute

type proofPage struct {
	Next   string
	Failed string
	Errors form.Errors
}

// proven lets somebody on who has given their password within proofLife, and
// sends everybody else to give it again, and then to where they were going.
func (s *Site) proven(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		// The session began when the password was given: giving it again begins a
		// new one.
		if age := s.Now().Sub(current(c).CreatedAt()); age < proofLife {
			return next(c)
		}
		return c.Redirect(http.StatusSeeOther, proofURL(s.whereTo(c)))
	}
}

func proofURL(next string) string {
	return "/account/proof?next=" + url.QueryEscape(next)
}

func (s *Site) showProof(c echo.Context) error {
	return s.page(c, http.StatusOK, "proof", "Confirm that it is you", proofPage{Next: s.localPath(c.QueryParam("next"))})
}

// submitProof is a log-in over the same person: a new token and new deadlines.
func (s *Site) submitProof(c echo.Context) error {
	sent, err := form.Parse(c.Request(), "password", "next")
	if err != nil {
		return err
	}
	member, _ := current(c).Member()
	again := proofPage{Next: s.localPath(sent["next"])}
	person, early, err := s.prove(c, sent["password"])
	switch {
	case early != "":
		again.Failed = early
		return s.page(c, http.StatusTooManyRequests, "proof", "Confirm that it is you", again)
	case errors.Is(err, account.ErrInvalidCredentials):
		again.Errors.Add("password", "That is not your password.")
		return s.page(c, http.StatusUnprocessableEntity, "proof", "Confirm that it is you", again)
	case err != nil:
		return err
	}
	if err := s.logIn(c, person, member.Remember, "Thank you. For the next 10 minutes you are not asked again."); err != nil {
		return err
	}
	s.note(c, account.EventProof, person.ID)
	if again.Next == "" {
		again.Next = "/account"
	}
	return c.Redirect(http.StatusSeeOther, again.Next)
}

// prove verifies the password of whoever is logged in, as often as that may be
// tried.
func (s *Site) prove(c echo.Context, pass string) (person account.Person, early string, err error) {
	ctx := c.Request().Context()
	member, _ := current(c).Member()
	key := throttle.Key{Rule: proofRule(), Of: member.ID}
	if early, err = s.take(c, key); early != "" || err != nil {
		return person, early, err
	}
	person, err = s.Accounts.Prove(ctx, member.ID, pass)
	s.proofDone(c, key, member.ID, err)
	return person, "", err
}

// proofDone counts what became of a try of the password.
func (s *Site) proofDone(c echo.Context, key throttle.Key, id string, err error) {
	switch {
	case err == nil:
		s.clear(c.Request().Context(), key)
	case errors.Is(err, account.ErrInvalidCredentials):
		s.note(c, account.EventProofFailed, id)
	default:
		s.giveBack(c.Request().Context(), key)
	}
}
