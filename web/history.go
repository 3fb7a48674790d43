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
	Kind                   string // of device: the name of its icon
	At                     Moment
}

func (s *Site) showHistory(c echo.Context) error {
	member, _ := current(c).Member()
	// Listing the sessions detects those that were idle for too long.
	if _, err := current(c).Devices(c.Request().Context()); err != nil {
		return err
	}
	list := pagingOf(c, eventsPerPage)
	events, err := s.Accounts.History(c.Request().Context(), member.ID, account.Event{}, list.offset(), list.limit())
	if err != nil {
		return err
	}
	var p historyPage
	events, p.neighbours = shown(list, events)
	for _, e := range events {
		p.Events = append(p.Events, historyEvent{
			What:    cmp.Or(eventWords[e.Kind], "Other activity"), // an event from a newer version
			Browser: BrowserWords(e.From.UserAgent), Kind: deviceKind(e.From.UserAgent), Address: e.From.Address,
			At: MomentAt(e.At, s.Now()),
		})
	}
	return s.Render(c, http.StatusOK, "history", "Account history", p)
}

// eventWords describes events, by kind.
var eventWords = map[account.EventKind]string{
	account.EventSignUp:            "Account created",
	account.EventSignUpAgain:       "Someone tried to create an account with your email address",
	account.EventLogIn:             "Logged in",
	account.EventLogInNewBrowser:   "Logged in from a new browser",
	account.EventLogInFailed:       "Failed login: wrong password",
	account.EventReauth:            "Password confirmed",
	account.EventReauthFailed:      "Wrong password entered while logged in",
	account.EventLogOut:            "Logged out",
	account.EventSessionEnded:      "Logged out another device",
	account.EventSessionsEnded:     "Logged out all other devices",
	account.EventSessionExpired:    "A session expired or was lost",
	account.EventNameChanged:       "Name changed",
	account.EventEmailConfirmed:    "Email address confirmed",
	account.EventEmailChangeAsked:  "Email address change requested",
	account.EventEmailChanged:      "Email address changed",
	account.EventEmailChangeUndone: "Email address change undone",
	account.EventDeletionAsked:     "Deletion of the account requested",
	account.EventKept:              "Account kept",
	account.EventPasswordChanged:   "Password changed",
	account.EventResetAsked:        "Password reset requested",
	account.EventPasswordReset:     "Password reset with a link",
	account.EventExported:          "Data downloaded",
}
