package web

import (
	"log/slog"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
)

// logEvent logs an event after it has happened. docs/operations.md lists the names.
// person is "" if unknown.
func (s *Site) logEvent(c echo.Context, event account.EventKind, person string, more ...slog.Attr) {
	id, _ := c.Get(requestIDKey).(string)
	attrs := []slog.Attr{
		slog.String("event", string(event)),
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

// audit records, in the history and the log, what the member who sent the request has
// already done; nothing for a guest. A failure to record it does not fail the request.
func (s *Site) audit(c echo.Context, kind account.EventKind) {
	member, ok := memberOf(c)
	if !ok {
		return
	}
	s.logEvent(c, kind, member.ID)
	s.Accounts.TryAudit(c.Request().Context(), member.ID, kind, sender(c))
}
