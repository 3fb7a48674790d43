package web

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
)

// exported is all that is kept of a person, as they may take it along.
type exported struct {
	Person   exportedPerson    `json:"person"`
	Sessions []exportedSession `json:"sessions"`
	History  []exportedEvent   `json:"history"`
}

type exportedPerson struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Email     string    `json:"email"`
	Confirmed bool      `json:"email_confirmed"`
	Created   time.Time `json:"created"`
}

type exportedSession struct {
	ID         string    `json:"id"`
	UserAgent  string    `json:"user_agent"`
	Address    string    `json:"address"`
	Remembered bool      `json:"kept_logged_in"`
	Since      time.Time `json:"since"`
	LastSeen   time.Time `json:"last_seen,omitzero"`
	Ended      time.Time `json:"ended,omitzero"`
	How        string    `json:"how_ended,omitempty"`
}

type exportedEvent struct {
	Event     string    `json:"event"`
	At        time.Time `json:"at"`
	UserAgent string    `json:"user_agent"`
	Address   string    `json:"address"`
}

// exportPage is how many rows are read at once.
const exportPage = 1000

// showExport is a download, and changes nothing: only the log tells of it.
func (s *Site) showExport(c echo.Context) error {
	ctx := c.Request().Context()
	person, err := s.ownAccount(c)
	if err != nil {
		return err
	}
	all := exported{Person: exportedPerson{
		ID: person.ID, Name: person.Name, Email: person.Email, Confirmed: person.Verified, Created: person.Created,
	}}
	live, err := current(c).Devices(ctx)
	if err != nil {
		return err
	}
	past, err := current(c).PastDevices(ctx, 0, exportPage)
	if err != nil {
		return err
	}
	for _, d := range append(live, past...) {
		all.Sessions = append(all.Sessions, exportedSession{
			ID: d.ID, UserAgent: d.UserAgent, Address: d.Address, Remembered: d.Remembered,
			Since: d.CreatedAt, LastSeen: d.LastSeenAt, Ended: d.RevokedAt, How: string(d.RevokeReason),
		})
	}
	for offset := 0; ; offset += exportPage {
		events, err := s.Accounts.History(ctx, person.ID, offset, exportPage)
		if err != nil {
			return err
		}
		for _, e := range events {
			all.History = append(all.History, exportedEvent{
				Event: string(e.Kind), At: e.At, UserAgent: e.From.UserAgent, Address: e.From.Address,
			})
		}
		if len(events) < exportPage {
			break
		}
	}
	s.logEvent(c, string(account.EventExported), person.ID)
	c.Response().Header().Set(echo.HeaderContentDisposition, `attachment; filename="holdfast-account.json"`)
	return c.JSONPretty(http.StatusOK, all, "  ")
}
