package web

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
)

type verifyPage struct {
	Token, Heading string
	Purpose        account.Purpose // of the link; "" if it was not looked up
	Email          string
	problems
}

// verifyHeadings are the headings of the pages of links, by purpose.
var verifyHeadings = map[account.Purpose]string{
	account.PurposeConfirm: "Confirm your email address",
	account.PurposeChange:  "Change your email address",
	account.PurposeUndo:    "Undo the change of email address",
	account.PurposeKeep:    "Keep your account?",
}

// actionDelete is the value of the button that deletes an account immediately; the
// other button keeps it.
const actionDelete = "delete"

// showVerify checks a link without using it.
func (s *Site) showVerify(c echo.Context) error {
	if wrong := problemsOf(c); wrong.Failed != "" {
		// Do not look up the link's purpose: that also counts as an attempt.
		return s.Render(c, wrong.status(), "verify", "Too many attempts", verifyPage{
			Token: formOf(c)["token"], Heading: "Too many attempts", problems: wrong,
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
	heading, known := verifyHeadings[link.Purpose]
	if !known {
		return s.linkOver(c)
	}
	p := verifyPage{Token: token, Heading: heading, Purpose: link.Purpose, Email: link.Detail, problems: problems{Failed: failed}}
	return s.Render(c, status, "verify", heading, p)
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
	token := formOf(c)["token"]
	switch formOf(c)["action"] {
	case "": // any other link
	case actionDelete:
		return s.submitDeleteNow(c, token)
	default:
		return s.submitKeep(c, token)
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
