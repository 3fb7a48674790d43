package web

import (
	"cmp"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
)

// eventsPerPage is how many events one page lists.
const eventsPerPage = 30

type historyPage struct {
	Events []historyEvent
	neighbours
}

type historyEvent struct {
	What, Browser, Address string
	Kind                   string // of device: its icon
	At                     Moment
}

func (s *Site) showHistory(c echo.Context) error {
	member, _ := current(c).Member()
	// Sessions that were not used for too long are found by looking for them.
	if _, err := current(c).Devices(c.Request().Context()); err != nil {
		return err
	}
	list := pagingOf(c, eventsPerPage)
	events, err := s.Accounts.History(c.Request().Context(), member.ID, list.offset(), list.limit())
	if err != nil {
		return err
	}
	var p historyPage
	events, p.neighbours = shown(list, events)
	words := eventWords()
	for _, e := range events {
		p.Events = append(p.Events, historyEvent{
			What:    cmp.Or(words[e.Kind], "Something else"), // an event of a newer version
			Browser: deviceTitle(e.From.UserAgent), Kind: deviceKind(e.From.UserAgent), Address: e.From.Address,
			At: MomentAt(e.At, s.Now()),
		})
	}
	return s.Render(c, http.StatusOK, "history", "What happened to your account", p)
}

// eventWords says what happened, by kind.
func eventWords() map[account.EventKind]string {
	return map[account.EventKind]string{
		account.EventSignUp:            "Account created",
		account.EventSignUpAgain:       "Somebody tried to create an account with your address",
		account.EventLogIn:             "Logged in",
		account.EventLogInNewBrowser:   "Logged in from a browser not seen before",
		account.EventLogInFailed:       "Failed to log in: wrong password",
		account.EventReauth:            "Password given again",
		account.EventReauthFailed:      "Wrong password given while logged in",
		account.EventLogOut:            "Logged out",
		account.EventSessionEnded:      "Another session ended",
		account.EventSessionsEnded:     "All other sessions ended",
		account.EventSessionExpired:    "A session expired",
		account.EventNameChanged:       "Name changed",
		account.EventEmailConfirmed:    "E-mail address confirmed",
		account.EventEmailChangeAsked:  "Change of e-mail address asked for",
		account.EventEmailChanged:      "E-mail address changed",
		account.EventEmailChangeUndone: "Change of e-mail address undone",
		account.EventPasswordChanged:   "Password changed",
		account.EventResetAsked:        "New password asked for",
		account.EventPasswordReset:     "New password chosen by a mailed link",
		account.EventExported:          "Data downloaded",
	}
}
