package web

import (
	"log/slog"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
)

// logEvent logs an event after it has happened. docs/operations.md lists the names.
// person is "" if unknown.
func (s *Site) logEvent(c echo.Context, event, person string, more ...slog.Attr) {
	id, _ := c.Get(requestIDKey).(string)
	attrs := []slog.Attr{
		slog.String("event", event),
		slog.String("request_id", id),
		slog.String("address", c.RealIP()),
	}
	if person != "" {
		attrs = append(attrs, slog.String("user_id", person))
	}
	if member, ok := memberOf(c); ok {
		attrs = append(attrs, slog.String("device", member.Device))
	}
	s.Log.LogAttrs(c.Request().Context(), slog.LevelInfo, "event", append(attrs, more...)...)
}

// audit records, in the history and the log, an event that has already happened. A
// failure to record it does not fail the request.
func (s *Site) audit(c echo.Context, kind account.EventKind, person string) {
	s.logEvent(c, string(kind), person)
	s.Accounts.TryAudit(c.Request().Context(), person, kind, sender(c))
}
