package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/text"
)

type verifyPage struct {
	Token                 string
	Email                 string
	Heading, What, Button string
	Failed                string
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
	return s.page(c, status, "verify", p.Heading, p)
}

// submitVerify spends a link, for whichever purpose it was made.
func (s *Site) submitVerify(c echo.Context) error {
	sent, err := parseLinkForm(c, "token")
	if err != nil {
		return err
	}
	early, err := s.take(c, byAddress(formRule(), c))
	if err != nil {
		return err
	}
	if early != "" {
		// What the link is for is not looked up: that is a try as well.
		return s.page(c, http.StatusTooManyRequests, "verify", "Too many tries", verifyPage{
			Token: sent["token"], Heading: "Too many tries", What: "Nothing was changed.", Button: "Try again", Failed: early,
		})
	}
	link, err := s.Accounts.FindLink(c.Request().Context(), sent["token"])
	if errors.Is(err, account.ErrLinkInvalid) {
		return s.linkOver(c)
	}
	if err != nil {
		return err
	}
	return s.spend(c, link.Purpose, sent["token"])
}

func (s *Site) spend(c echo.Context, purpose account.Purpose, token string) error {
	var do func(context.Context, string, text.Sender) (account.Person, error)
	var event account.EventKind
	var parting, next string
	switch purpose {
	case account.PurposeConfirm:
		do, event, parting, next = s.Accounts.ConfirmEmail, account.EventEmailConfirmed, flashConfirmed, "/login"
	case account.PurposeChange:
		do, event, parting, next = s.Accounts.ChangeEmail, account.EventEmailChanged, flashEmailChanged, "/login"
	case account.PurposeUndo:
		do, event, parting, next = s.Accounts.UndoEmail, account.EventEmailChangeUndone, flashUndone, "/forgot"
	default:
		return s.linkOver(c)
	}
	person, err := do(c.Request().Context(), token, sender(c))
	switch {
	case errors.Is(err, account.ErrLinkInvalid):
		return s.linkOver(c)
	case errors.Is(err, account.ErrEmailTaken):
		taken := "Another account has this address by now, so nothing was changed."
		if purpose == account.PurposeUndo {
			// Whoever took the account over may have made that one, to be in the way.
			taken += " This link stays good. If you do not know that account, choose a new password for it with Forgotten password, log in and delete it, and then open this link again."
		}
		return s.verifyPage(c, http.StatusConflict, token, taken)
	case err != nil:
		return err
	}
	s.logEvent(c, string(event), person.ID)
	if purpose == account.PurposeUndo {
		s.revoke(c, person.ID)
	} else if _, ok := current(c).Member(); ok {
		next = "/account"
	}
	s.setFlashCookie(c, parting)
	return c.Redirect(http.StatusSeeOther, next)
}
