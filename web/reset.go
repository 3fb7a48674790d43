package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
)

type resetPage struct {
	Token       string
	Email       string // of the account
	MinPassword int    // code points
	problems
}

// mailedLink reports whether a path is one that emailed links lead to.
func mailedLink(path string) bool { return path == "/reset" || path == "/verify" }

// linkPage is where the form that failed is: the page of its link, or where one
// gets another link when none came with it. A form of another site (own false)
// is not shown with a link that may be that site's.
func linkPage(c echo.Context, own bool) string {
	r, sent := c.Request(), formOf(c)
	if own && sent == nil { // it failed before its handler
		sent, _ = form.Parse(r, "token", "password")
	}
	if token := sent["token"]; token != "" {
		return r.URL.Path + "?token=" + url.QueryEscape(token)
	}
	if r.URL.Path == "/reset" {
		return "/forgot"
	}
	return "/account" // which has the email sent again
}

// resetPath is where a reset link leads; with "", where one gets it by email.
func resetPath(token string) string {
	if token == "" {
		return "/forgot"
	}
	return "/reset?token=" + url.QueryEscape(token)
}

// showReset looks at a link, and spends nothing: an email scanner opens links too.
func (s *Site) showReset(c echo.Context) error {
	ctx, sent, wrong := c.Request().Context(), formOf(c), problemsOf(c)
	p := resetPage{Token: c.QueryParam("token"), MinPassword: s.MinPassword, problems: wrong}
	if sent != nil {
		p.Token = sent["token"]
	}
	if wrong.Failed == "" { // looking at a token is an attempt, too
		link, err := s.Accounts.FindLink(ctx, p.Token)
		if errors.Is(err, account.ErrLinkInvalid) || err == nil && link.Purpose != account.PurposeReset {
			return s.linkOver(c)
		}
		if err != nil {
			return err
		}
		person, err := s.Accounts.Find(ctx, link.Person)
		if err != nil {
			return err
		}
		p.Email = person.Email
	}
	return s.Render(c, wrong.status(), "reset", "Choose a new password", p)
}

// submitReset sets a new password and starts no session.
func (s *Site) submitReset(c echo.Context) error {
	sent := formOf(c)
	person, browser, err := s.Accounts.ResetPassword(c.Request().Context(), sent["token"], sent["password"], sender(c))
	if errors.Is(err, account.ErrLinkInvalid) {
		return s.linkOver(c)
	}
	if err != nil {
		return err
	}
	s.logEvent(c, string(account.EventPasswordReset), person.ID)
	later := s.revoke(c, person.ID)
	s.knowBrowser(c, browser)
	s.setFlashCookie(c, flashReset+later)
	return c.Redirect(http.StatusSeeOther, "/login")
}

// revoke removes the sessions of a person that a change has ended from the session
// store. It returns flashLater if they may still be there, and "" otherwise.
func (s *Site) revoke(c echo.Context, person string) (later string) {
	ctx := context.WithoutCancel(c.Request().Context())
	waiting := s.Stores.Revocations()
	keys, err := waiting.WaitingOf(ctx, person)
	if err == nil {
		err = s.Sessions.RevokeKeys(ctx, waiting, keys)
	}
	return s.revoked(c, err)
}

// revoked logs that ended sessions may still be in the session store. They are removed
// later; until then, an instance that does not know that they have ended accepts them.
func (s *Site) revoked(c echo.Context, err error) (later string) {
	if err == nil {
		return ""
	}
	s.Log.WarnContext(c.Request().Context(), "revoked sessions not yet deleted from the store", "cause", err)
	return flashLater
}

// linkOverPage is for links that do nothing. Done says, as a heading, what they have
// done; "" where they have not.
type linkOverPage struct{ Done, Next, NextText string }

// linkOver is the one page for links that were used, are too old, or never were.
func (s *Site) linkOver(c echo.Context) error {
	return s.Render(c, http.StatusGone, "linkover", "This link no longer works", linkOverPage{})
}
