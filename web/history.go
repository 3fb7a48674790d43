package web

import (
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
	for _, e := range events {
		p.Events = append(p.Events, historyEvent{
			What: eventWords(e.Kind), Browser: deviceTitle(e.From.UserAgent), Kind: deviceKind(e.From.UserAgent), Address: e.From.Address,
			At: MomentAt(e.At, s.Now()),
		})
	}
	return s.Render(c, http.StatusOK, "history", "What happened to your account", p)
}

func eventWords(kind account.EventKind) string {
	switch kind {
	case account.EventSignUp:
		return "Account created"
	case account.EventSignUpAgain:
		return "Somebody tried to create an account with your address"
	case account.EventLogIn:
		return "Logged in"
	case account.EventLogInNewBrowser:
		return "Logged in from a browser not seen before"
	case account.EventLogInFailed:
		return "Failed to log in: wrong password"
	case account.EventReauth:
		return "Password given again"
	case account.EventReauthFailed:
		return "Wrong password given while logged in"
	case account.EventLogOut:
		return "Logged out"
	case account.EventSessionEnded:
		return "Another session ended"
	case account.EventSessionsEnded:
		return "All other sessions ended"
	case account.EventSessionExpired:
		return "A session expired"
	case account.EventNameChanged:
		return "Name changed"
	case account.EventEmailConfirmed:
		return "E-mail address confirmed"
	case account.EventEmailChangeAsked:
		return "Change of e-mail address asked for"
	case account.EventEmailChanged:
		return "E-mail address changed"
	case account.EventEmailChangeUndone:
		return "Change of e-mail address undone"
	case account.EventPasswordChanged:
		return "Password changed"
	case account.EventResetAsked:
		return "New password asked for"
	case account.EventPasswordReset:
		return "New password chosen by a mailed link"
	case account.EventExported:
		return "Data downloaded"
	default:
		return "Something else" // an event of a newer version
	}
}
