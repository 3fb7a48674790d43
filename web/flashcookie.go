package web

import (
	"strings"

	"github.com/labstack/echo/v4"

	"holdfast/internal/product"
	"holdfast/internal/session"
)

// The flash cookie carries a message to the next page for someone who has just
// been logged out, and so has no session to keep it in. Its value is a code and
// never text, so that nobody who sets the cookie can choose what a page says.
const (
	flashCookieSeconds = 60

	flashLoggedOut    = "logged-out"
	flashSignedUp     = "signed-up"
	flashResetAsked   = "reset-asked"
	flashReset        = "reset"
	flashConfirmed    = "confirmed"
	flashEmailChanged = "email-changed"
	flashUndone       = "undone"
	flashDeleted      = "deleted"
	// flashForgotten is for a session that the server's memory does not have.
	flashForgotten = "forgotten"
	// flashEnded begins the code of a session that has ended; the reason follows.
	flashEnded = "ended."
)

// flashText is the message for a code; "" for an unknown one.
func (s *Site) flashText(code string) string {
	switch code {
	case flashLoggedOut:
		return "You are logged out."
	case flashSignedUp:
		return "A mail is on its way to that address. If the address is new here, your account is ready: log in."
	case flashResetAsked:
		return "If that address has an account, a mail with a link is on its way to it. The link is good for one hour." + s.whereMailIs()
	case flashReset:
		return "Your new password is set, and all sessions have ended. Log in with it."
	case flashConfirmed:
		return "Your e-mail address is confirmed."
	case flashEmailChanged:
		return "You log in with the new e-mail address from now on."
	case flashUndone:
		return "The account belongs to that address again, and all sessions have ended. Now ask for a new password."
	case flashDeleted:
		return "Your account is deleted, and all its sessions have ended."
	case flashForgotten:
		return "This server keeps sessions in its own memory, and yours is not there. Log in to continue."
	}
	if why, ended := strings.CutPrefix(code, flashEnded); ended {
		return "Your session has ended" + becauseOf(session.EndReason(why)) + ". Log in to continue."
	}
	return ""
}

// becauseOf says how a session ended, as far as its owner can make use of it.
func becauseOf(how session.EndReason) string {
	switch how {
	case session.EndedByOwner:
		return ": it was logged out from another device"
	case session.EndedByOperator:
		return ": the operator of this site ended it"
	case session.EndedByLimit:
		return ": you have logged in on so many devices since that the oldest had to go"
	case session.EndedByPassword:
		return ": the password was changed"
	case session.EndedByUndo:
		return ": a change of the e-mail address was undone"
	case session.EndedByIdleness:
		return ": it was not used for too long"
	case session.EndedByAge:
		return ": it had reached its maximum age"
	case session.EndedByTime:
		return ": it was not used for too long, or had reached its maximum age"
	default:
		return ""
	}
}

// setFlashCookie has the next page show the message for code.
func (s *Site) setFlashCookie(c echo.Context, code string) {
	c.SetCookie(s.cookie(product.PartingCookie, code, flashCookieSeconds))
}

// takeFlashCookie returns the message that the request's flash cookie names, if
// any, and deletes the cookie.
func (s *Site) takeFlashCookie(c echo.Context) []string {
	code, count := findCookie(c.Request().Header, s.cookieName(product.PartingCookie))
	if count == 0 {
		return nil
	}
	c.SetCookie(s.cookie(product.PartingCookie, "", -1))
	text := s.flashText(code)
	if text == "" {
		return nil
	}
	return []string{text}
}
