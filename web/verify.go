package web

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
)

type verifyPage struct {
	Token           string
	Heading, Button string
	Keep            bool // whether there is a button to delete the account as well
	// Before and After are the text around Email in a sentence.
	Before, Email, After string
	problems
}

// verifyWords describes what links do, by purpose.
func verifyWords() map[account.Purpose]verifyPage {
	return map[account.Purpose]verifyPage{
		account.PurposeConfirm: {
			Heading: "Confirm your email address", Button: "Confirm this address",
			Before: "Confirm that", After: " is your address.",
		},
		account.PurposeChange: {
			Heading: "Change your email address", Button: "Use this address",
			Before: "From now on, you’ll log in with", After: " and get our emails there.",
		},
		account.PurposeUndo: {
			Heading: "Undo the change of email address", Button: "Undo it and log out everywhere",
			Before: "Your account goes back to", After: ". Every device is logged out, then you choose a new password.",
		},
		account.PurposeKeep: {
			Heading: "Keep your account?", Button: "Keep my account", Keep: true,
			Before: "Your account", After: " is going to be deleted. Keep it, then choose a new password. Or delete it right now. That can’t be undone.",
		},
	}
}

// actionDelete is the value of the button that deletes an account immediately; the
// other button keeps it.
const actionDelete = "delete"

// showVerify checks a link without using it.
func (s *Site) showVerify(c echo.Context) error {
	if wrong := problemsOf(c); wrong.Failed != "" {
		// Do not look up the link's purpose: that also counts as an attempt.
		return s.Render(c, wrong.status(), "verify", "Too many attempts", verifyPage{
			Token: formOf(c)["token"], Heading: "Too many attempts", Button: "Try again", problems: wrong,
		})
	}
	return s.verifyPage(c, http.StatusOK, c.QueryParam("token"), "")
}

func (s *Site) verifyPage(c echo.Context, status int, token, failed string) error {
	link, err := s.Accounts.FindLink(c.Request().Context(), token)
	if errors.Is(err, account.ErrLinkInvalid) {
		return s.doneOrOver(c, token)
	}
	if err != nil {
		return err
	}
	p, known := verifyWords()[link.Purpose]
	if !known {
		return s.linkOver(c)
	}
	p.Email, p.Token, p.Failed = link.Detail, token, failed
	return s.Render(c, status, "verify", p.Heading, p)
}

// doneOrOver responds to a link that no longer does anything: people click twice, and
// mail server scanners open the page and submit it before them.
func (s *Site) doneOrOver(c echo.Context, token string) error {
	done, err := s.Accounts.LinkDone(c.Request().Context(), token)
	p := linkOverPage{Done: "Your email address is confirmed", Next: "/account", NextText: "Go to your account"}
	switch {
	case err != nil:
		return err
	case done == "":
		return s.linkOver(c)
	case done == account.PurposeKeep:
		p = linkOverPage{Done: "Your account is kept", Next: "/forgot", NextText: "Choose a new password, because someone else may know the old one"}
	}
	return s.Render(c, http.StatusOK, "linkover", p.Done, p)
}

// submitVerify uses a link, whatever its purpose.
func (s *Site) submitVerify(c echo.Context) error {
	token, action := formOf(c)["token"], formOf(c)["action"]
	if action != "" {
		return s.submitKeep(c, token, action == actionDelete)
	}
	person, purpose, err := s.Accounts.UseLink(c.Request().Context(), token, sender(c))
	switch {
	case errors.Is(err, account.ErrLinkInvalid):
		return s.doneOrOver(c, token)
	case errors.Is(err, account.ErrEmailTaken):
		taken := "Another account now uses this address."
		if purpose == account.PurposeUndo {
			// Someone who took over the account may have created the other one to block
			// the undo.
			taken += " This link still works. If you don’t recognise that account, use “Forgotten your password?” to get into it and delete it right away, then open this link again."
		}
		return s.verifyPage(c, http.StatusConflict, token, taken)
	case err != nil:
		return err
	}
	next := "/login"
	if _, ok := current(c).Member(); ok {
		next = "/account"
	}
	switch purpose {
	case account.PurposeConfirm:
		s.logEvent(c, account.EventEmailConfirmed, person.ID)
		s.setFlashCookie(c, flashConfirmed)
	case account.PurposeChange:
		s.logEvent(c, account.EventEmailChanged, person.ID)
		s.setFlashCookie(c, flashEmailChanged)
	case account.PurposeUndo:
		s.logEvent(c, account.EventEmailChangeUndone, person.ID)
		s.setFlashCookie(c, flashUndone+s.revoke(c, person.ID))
		next = resetPath(s.Accounts.ResetLink(c.Request().Context(), person.ID, person.Email))
	}
	return c.Redirect(http.StatusSeeOther, next)
}
