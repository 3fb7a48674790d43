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

// linkPage returns the page of the failed form: the page of its link or, if it came
// without a link, the page where a new one can be requested. If another site sent the
// form (own is false), its link is not used, because it may be that site's.
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
	return "/account" // where the email can be sent again
}

// resetPath returns where a reset link leads; if token is "", where to request one by
// email.
func resetPath(token string) string {
	if token == "" {
		return "/forgot"
	}
	return "/reset?token=" + url.QueryEscape(token)
}

// showReset checks a link without using it: email scanners open links too.
func (s *Site) showReset(c echo.Context) error {
	ctx, sent, wrong := c.Request().Context(), formOf(c), problemsOf(c)
	p := resetPage{Token: c.QueryParam("token"), MinPassword: s.MinPassword, problems: wrong}
	if sent != nil {
		p.Token = sent["token"]
	}
	if wrong.Failed == "" { // looking up a token counts as an attempt
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
	s.logEvent(c, account.EventPasswordReset, person.ID)
	later := s.revoke(c, person.ID)
	s.knowBrowser(c, browser)
	s.setFlashCookie(c, flashReset+later)
	return c.Redirect(http.StatusSeeOther, "/login")
}

// revoke deletes from the session store the person's sessions that a change has
// revoked. It returns flashLater if some may still be there, and "" otherwise.
func (s *Site) revoke(c echo.Context, person string) (later string) {
	ctx := context.WithoutCancel(c.Request().Context())
	waiting := s.Stores.Revocations()
	keys, err := waiting.WaitingOf(ctx, person)
	if err == nil {
		err = s.Sessions.RevokeKeys(ctx, waiting, keys)
	}
	return s.revoked(c, err)
}

// revoked logs that revoked sessions may still be in the session store. They are
// deleted later. Until then, an instance that does not know of the revocation accepts
// them.
func (s *Site) revoked(c echo.Context, err error) (later string) {
	if err == nil {
		return ""
	}
	s.Log.WarnContext(c.Request().Context(), "revoked sessions not yet deleted from the store", "cause", err)
	return flashLater
}

// linkOverPage is for links that no longer do anything. Done is a heading that says
// what the link did; "" if it did nothing.
type linkOverPage struct{ Done, Next, NextText string }

// linkOver shows the one page for links that were used, have expired, or never existed.
func (s *Site) linkOver(c echo.Context) error {
	return s.Render(c, http.StatusGone, "linkover", "This link no longer works", linkOverPage{})
}
