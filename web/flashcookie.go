package web

import (
	"cmp"
	"strings"

	"github.com/labstack/echo/v4"

	"holdfast/internal/product"
	"holdfast/internal/session"
)

// The flash cookie carries a flash message to the next page for someone who has just
// been logged out, and so has no session to keep it in. Its value is a code, never
// text, so setting the cookie cannot choose what a page says.
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
	flashClosing      = "closing"
	flashKept         = "kept"
	flashPassword     = "password" // kept in the session, not in the cookie
	// flashLater ends the code of a message about sessions that may not be deleted yet.
	flashLater = ".later"
	// flashForgotten is for a session that is not in the server's memory.
	flashForgotten = "forgotten"
	// flashSeveral is for a browser that sent several session cookies.
	flashSeveral = "several"
	// flashEnded begins the code for a session that has ended; the reason follows.
	flashEnded = "ended."
)

// flashText returns the message for a code, or "" for an unknown one.
func (s *Site) flashText(code string) string {
	if why, ended := strings.CutPrefix(code, flashEnded); ended {
		return "Your session has ended" + reasonWords[session.RevokeReason(why)].because + ". Log in to continue."
	}
	code, later := strings.CutSuffix(code, flashLater)
	when := ""
	if later {
		when = ", or will be in a moment"
	}
	return map[string]string{
		flashLoggedOut: "You are logged out.",
		flashSignedUp:  "An email is on its way to that address. If the address is new here, your account is ready: log in.",
		flashResetAsked: s.mailNotice("If that address has an account, an email with a link is on its way. The link works for one hour.",
			"If that address has an account, we wrote it an email with a link. The link works for one hour."),
		flashReset:        "Your password has been changed, and you are logged out everywhere" + when + ". Log in with your new password.",
		flashConfirmed:    "Your email address is confirmed.",
		flashEmailChanged: "Your email address has been changed. Use the new one to log in.",
		flashUndone:       "The change was undone, and every device is logged out" + when + ". Now choose a new password.",
		flashDeleted:      "Your account has been deleted, and you are logged out everywhere" + when + ".",
		flashClosing: "Your account will be deleted in 7 days, unless you keep it with the link that we emailed you. " +
			"Until then no one can log in to it, and you are logged out everywhere" + when + ".",
		flashKept:     "Your account is kept. Now choose a new password, because someone else may know the old one.",
		flashPassword: "Your password has been changed, and you are logged out on all other devices" + when + ".",
		flashSeveral: "You are not logged in: your browser sent more than one cookie named “" + s.sessionCookie +
			"”, and we can’t tell which is ours. We removed ours. Another program on this host or its domain set the other: " +
			"delete it in your browser’s settings, then log in. " + renameCookie,
		flashForgotten: "This server keeps sessions in its own memory, and no longer has yours. Log in to continue.",
	}[code]
}

// renameCookie ends a notice about a cookie that another program has set.
const renameCookie = "The operator can rename ours with the setting SESSION_COOKIE."

// reason says why a session has ended.
type reason struct {
	listed  string // in the list of devices; "" for "Expired"
	because string // after "Your session has ended"; "" if it would not help the owner
}

var reasonWords = map[session.RevokeReason]reason{
	session.RevokedByLogOut:   {listed: "Logged out"},
	session.RevokedByOwner:    {"Logged out from another device", ": it was logged out from another device"},
	session.RevokedByOperator: {"Ended by an administrator", ": an administrator ended it"},
	session.RevokedByDisable:  {listed: "Ended when the account was disabled"},
	session.RevokedByLimit:    {"Ended to make room for a newer session", ": you have since logged in on too many other devices"},
	session.RevokedByPassword: {"Ended when the password was changed", ": your password was changed"},
	session.RevokedByUndo:     {"Ended when a change of email address was undone", ": a change to your email address was undone"},
	session.RevokedByClosing:  {"Ended when someone asked to delete the account", ": someone asked to delete your account"},
	session.RevokedByLogIn:    {listed: "Replaced when you logged in again"},
	session.RevokedByIdleness: {because: ": it was idle for too long"},
	session.RevokedByAge:      {because: ": it reached its maximum age"},
	session.RevokedByTime:     {because: ": it was idle for too long or reached its maximum age"},
}

// RevocationWords returns the words in which the devices page says why a session ended.
func RevocationWords(why session.RevokeReason) string {
	return cmp.Or(reasonWords[why].listed, "Expired")
}

// setFlashCookie makes the next page show the message for code. It does nothing if code
// is "".
func (s *Site) setFlashCookie(c echo.Context, code string) {
	if code == "" {
		return
	}
	c.SetCookie(s.cookie(product.PartingCookie, code, flashCookieSeconds))
}
