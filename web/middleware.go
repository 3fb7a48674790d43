package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/session"
)

// What the middleware leaves in the echo context for what runs inside it.
const (
	requestIDKey = "request id"
	sessionKey   = "session"
	senderKey    = "sender" // the name in the session as it was found; "" for a guest
	causeKey     = "cause"
	noticesKey   = "notices"
)

// What became of the notices that were waiting for a page, under noticesKey.
const (
	noticesTaken = "taken"
	noticesHeld  = "held" // left for another page
)

// observe is outermost: it names the request, catches panics, has errors
// answered, and writes one line of log. Nothing secret can be in that line: it
// has no header, no body and no query.
func (s *Site) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		id := newRequestID()
		c.Set(requestIDKey, id)
		if err := recovering(next, c); err != nil {
			c.Error(err)
		}
		took := time.Since(started)
		if s.Answered != nil {
			s.Answered(c.Request().Method, c.Path(), c.Response().Status, took)
		}
		attrs := [8]slog.Attr{
			slog.String("request_id", id),
			slog.String("method", c.Request().Method),
			slog.String("route", c.Path()),
			slog.Int("status", c.Response().Status),
			slog.Duration("duration", took),
			slog.String("address", c.RealIP()),
		}
		line := attrs[:6]
		if member, ok := memberOf(c); ok {
			line = append(line, slog.String("user_id", member.ID))
		}
		level := slog.LevelInfo
		if cause, ok := c.Get(causeKey).(error); ok {
			line = append(line, slog.String("cause", cause.Error()))
			if c.Response().Status >= http.StatusInternalServerError {
				level = slog.LevelError
			}
		}
		s.log(c.Request().Context(), level, line)
		return nil
	}
}

// log writes the line of one request. It is [slog.Logger.LogAttrs] but for the
// search of the stack for who called it, which would find this place each time.
func (s *Site) log(ctx context.Context, level slog.Level, line []slog.Attr) {
	if !s.Log.Enabled(ctx, level) {
		return
	}
	record := slog.NewRecord(time.Now(), level, "request", 0)
	record.AddAttrs(line...)
	_ = s.Log.Handler().Handle(ctx, record) // a log that fails has nobody to tell
}

// errPanic is a handler's panic on its way to the error page.
var errPanic = errors.New("panic")

// recovering runs next and turns a panic into an error, stack included, which
// goes to the log alone.
func recovering(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanic, p, debug.Stack())
		}
	}()
	return next(c)
}

// contentSecurityPolicy lets a page load its own style sheet, script and
// pictures and nothing else (ASVS 5.0 3.4.3).
const contentSecurityPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// alwaysSent are the headers that every answer has, errors and static files too
// (ASVS 5.0 chapter 3.4).
func alwaysSent(https bool) http.Header {
	h := http.Header{
		"Content-Security-Policy":      {contentSecurityPolicy},
		"X-Content-Type-Options":       {"nosniff"},
		"Referrer-Policy":              {"same-origin"},
		"Cross-Origin-Opener-Policy":   {"same-origin"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Permissions-Policy":           {"camera=(), geolocation=(), microphone=(), payment=(), usb=()"},
	}
	if https {
		h.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains") // two years, in seconds
	}
	return h
}

// secure sets them. Echo calls this function for every request.
func (s *Site) secure(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		maps.Copy(c.Response().Header(), s.always)
		return next(c)
	}
}

// errForgery: a request that changes something came from another site.
var errForgery = errors.New("cross-origin request refused")

// refuseForgery lets no other origin send anything that changes something, log
// in and sign up included: Sec-Fetch-Site decides, Origin where that is
// missing. A request with neither comes from no browser and passes.
func (s *Site) refuseForgery(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.forgery.Check(c.Request()); err != nil {
			return fmt.Errorf("%w: %w", errForgery, err)
		}
		return next(c)
	}
}

// errStrangeHost: the request is for another host, by its name.
var errStrangeHost = errors.New("request for a host that is not this one")

// ownHost lets only those requests through that are for this server by name. A
// page of another site whose name leads here is of the same origin as this site
// for a browser (DNS rebinding), and so neither cookies nor Sec-Fetch-Site tell
// it apart. For pages that show or do more than a stranger may see or do.
func (s *Site) ownHost(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		asked := &url.URL{Host: c.Request().Host}
		name := strings.ToLower(strings.TrimSuffix(asked.Hostname(), "."))
		if name != strings.ToLower(s.BaseURL.Hostname()) && !loopback(name) {
			return fmt.Errorf("%w: %.100q", errStrangeHost, name)
		}
		return next(c)
	}
}

// loopback reports whether a name in small letters always means the machine it
// is used on (RFC 6761 section 6.3).
func loopback(name string) bool {
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}

// membersOnly sends a guest to log in, and back to what they asked for. Whoever
// comes with the token of a session that has ended is told so: nothing on the
// log-in page would say why they are there.
func (s *Site) membersOnly(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if _, ok := current(c).Member(); ok {
			return next(c)
		}
		how, over, err := current(c).Over(c.Request().Context())
		if err != nil {
			// Why a session ended is not worth failing for.
			s.Log.WarnContext(c.Request().Context(), "how a session ended is not known", "cause", err)
		}
		if over {
			s.part(c, partingEnded+"."+string(how))
		}
		return c.Redirect(http.StatusSeeOther, loginURL(s.whereTo(c.Request())))
	}
}

// current is the session of this request. Handlers outside recognise have none.
func current(c echo.Context) *session.Session {
	return c.Get(sessionKey).(*session.Session)
}

func memberOf(c echo.Context) (session.Member, bool) {
	s, ok := c.Get(sessionKey).(*session.Session)
	if !ok {
		return session.Member{}, false
	}
	return s.Member()
}

// sender is where this request comes from, for the list of devices.
func sender(c echo.Context) session.Sender {
	return session.Sender{UserAgent: c.Request().UserAgent(), Address: c.RealIP()}
}
