package web

import (
	"log/slog"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
)

// logEvent writes an event to the log, after it has happened: docs/operations.md
// lists the names. person is "" where it is unknown.
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

// audit writes an event that has already happened to the history and the log. A
// failure to write it does not fail the request.
func (s *Site) audit(c echo.Context, kind account.EventKind, person string) {
	s.logEvent(c, string(kind), person)
	s.Accounts.TryAudit(c.Request().Context(), person, kind, sender(c))
}
