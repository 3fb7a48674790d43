package web

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
)

type verifyPage struct {
	Token                 string
	Email                 string
	Heading, What, Button string
	problems
}

// verifyPages say what the link of each purpose does.
func verifyWords(link account.Link) (p verifyPage, known bool) {
	p.Email = link.Detail
	switch link.Purpose {
	case account.PurposeConfirm:
		p.Heading, p.Button = "Confirm your e-mail address", "Confirm this address"
		p.What = "With this you say that the address is yours:"
	case account.PurposeChange:
		p.Heading, p.Button = "Use a new e-mail address", "Use this address"
		p.What = "From now on, you log in and get mail with this address:"
	case account.PurposeUndo:
		p.Heading, p.Button = "Take your account back", "Take it back and end all sessions"
		p.What = "The account belongs to this address again. All sessions end, and then you choose a new password:"
	default:
		return verifyPage{}, false
	}
	return p, true
}

// showVerify looks at a link, and spends nothing.
func (s *Site) showVerify(c echo.Context) error {
	return s.verifyPage(c, http.StatusOK, c.QueryParam("token"), "")
}

func (s *Site) verifyPage(c echo.Context, status int, token, failed string) error {
	link, err := s.Accounts.FindLink(c.Request().Context(), token)
	if errors.Is(err, account.ErrLinkInvalid) {
		return s.linkOver(c)
	}
	if err != nil {
		return err
	}
	p, known := verifyWords(link)
	if !known {
		return s.linkOver(c)
	}
	p.Token, p.Failed = token, failed
	return s.Render(c, status, "verify", p.Heading, p)
}

// submitVerify spends a link, for whichever purpose it was made.
func (s *Site) submitVerify(c echo.Context) error {
	sent, err := parseLinkForm(c, "token")
	if err != nil {
		return err
	}
	person, purpose, err := s.Accounts.UseLink(c.Request().Context(), sent["token"], sender(c))
	switch {
	case errors.Is(err, account.ErrLinkInvalid):
		return s.linkOver(c)
	case errors.Is(err, account.ErrEmailTaken):
		taken := "Another account has this address by now, so nothing was changed."
		if purpose == account.PurposeUndo {
			// The one who took the account over may have made that one, to be in the way.
			taken += " This link stays good. If you do not know that account, choose a new password for it with Forgotten password, log in and delete it, and then open this link again."
		}
		return s.verifyPage(c, http.StatusConflict, sent["token"], taken)
	case err != nil:
		return s.refuse(c, err, func(status int, wrong problems) error {
			// What the link is for is not looked up: that is a try as well.
			return s.Render(c, status, "verify", "Too many tries", verifyPage{
				Token: sent["token"], Heading: "Too many tries", What: "Nothing was changed.", Button: "Try again", problems: wrong,
			})
		})
	}
	next := "/login"
	if _, ok := current(c).Member(); ok {
		next = "/account"
	}
	switch purpose {
	case account.PurposeConfirm:
		s.logEvent(c, string(account.EventEmailConfirmed), person.ID)
		s.setFlashCookie(c, flashConfirmed)
	case account.PurposeChange:
		s.logEvent(c, string(account.EventEmailChanged), person.ID)
		s.setFlashCookie(c, flashEmailChanged)
	case account.PurposeUndo:
		s.logEvent(c, string(account.EventEmailChangeUndone), person.ID)
		s.revoke(c, person.ID)
		s.setFlashCookie(c, flashUndone)
		next = "/forgot"
	}
	return c.Redirect(http.StatusSeeOther, next)
}
