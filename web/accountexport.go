package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/session"
)

// exported is the first part of the download. The lists of sessions and history events
// follow.
type exported struct {
	Person    exportedPerson         `json:"person"`
	Browsers  []account.Browser      `json:"known_browsers"`
	Addresses []account.OtherAddress `json:"other_addresses"`
}

type exportedPerson struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Email     string    `json:"email"`
	Confirmed bool      `json:"email_confirmed"`
	Created   time.Time `json:"created"`
}

type exportedSession struct {
	ID         string            `json:"id"`
	UserAgent  string            `json:"user_agent"`
	Address    string            `json:"address"`
	Remembered bool              `json:"kept_logged_in"`
	Since      time.Time         `json:"since"`
	LastSeen   time.Time         `json:"last_seen,omitzero"`
	Ended      time.Time         `json:"ended,omitzero"`
	How        string            `json:"how_ended,omitempty"`
	Values     map[string]string `json:"values,omitempty"`
}

type exportedEvent struct {
	Event     string    `json:"event"`
	At        time.Time `json:"at"`
	UserAgent string    `json:"user_agent"`
	Address   string    `json:"address"`
}

// exportPage is how many rows one query reads.
const exportPage = 1000

// showExport sends all data kept about a person as a download. It changes nothing; only
// the log records it. It writes the download while reading it, one page at a time.
func (s *Site) showExport(c echo.Context, person account.Person) error {
	ctx, sess := c.Request().Context(), current(c)
	live, err := sess.Devices(ctx)
	if err != nil {
		return err
	}
	browsers, err := s.Accounts.Store.Browsers(ctx, person.ID)
	if err != nil {
		return err
	}
	addresses, err := s.Accounts.Store.Addresses(ctx, person.ID)
	if err != nil {
		return err
	}
	first, err := json.MarshalIndent(exported{exportedPerson{
		ID: person.ID, Name: person.Name, Email: person.Email, Confirmed: person.Verified, Created: person.Created,
	}, browsers, addresses}, "", "  ")
	if err != nil {
		return err
	}
	s.logEvent(c, account.EventExported, person.ID)
	c.Response().Header().Set(echo.HeaderContentDisposition, `attachment; filename="holdfast-account.json"`)
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	c.Set(streamKey, func(w io.Writer) error {
		_, _ = w.Write(bytes.TrimSuffix(first, []byte("\n}"))) // w keeps its error
		err := exportList(w, "sessions", func(last session.Device) ([]session.Device, error) {
			if page := live; len(page) > 0 {
				live = nil
				return page, nil
			}
			if last.RevokedAt.IsZero() {
				last = session.Device{} // start with the latest past session
			}
			return sess.PastDevices(ctx, last, 0, exportPage)
		}, func(d session.Device) any {
			return exportedSession{
				ID: d.ID, UserAgent: d.UserAgent, Address: d.Address, Remembered: d.Remembered,
				Since: d.CreatedAt, LastSeen: d.LastSeenAt, Ended: d.RevokedAt, How: string(d.RevokeReason), Values: d.Values(),
			}
		})
		if err == nil {
			err = exportList(w, "history", func(last account.Event) ([]account.Event, error) {
				return s.Accounts.History(ctx, person.ID, last, 0, exportPage)
			}, func(e account.Event) any {
				return exportedEvent{Event: string(e.Kind), At: e.At, UserAgent: e.From.UserAgent, Address: e.From.Address}
			})
		}
		_, _ = io.WriteString(w, "\n}\n")
		return err
	})
	return nil
}

// exportList writes rows as a list in a field of a JSON object, one page at a time.
// next returns the rows after last, and none at the end.
func exportList[Row any](w io.Writer, name string, next func(last Row) ([]Row, error), shown func(Row) any) error {
	if _, err := fmt.Fprintf(w, ",\n  %q: [", name); err != nil {
		return err
	}
	between := "\n    "
	var last Row
	for {
		rows, err := next(last)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		for _, row := range rows {
			text, err := json.MarshalIndent(shown(row), "    ", "  ")
			if err == nil {
				_, err = fmt.Fprint(w, between, string(text))
			}
			if err != nil {
				return err
			}
			between, last = ",\n    ", row
		}
	}
	_, err := io.WriteString(w, "\n  ]")
	return err
}
