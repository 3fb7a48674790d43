package web

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/hostname"
	"holdfast/internal/session"
	"holdfast/internal/text"
)

// Keys of values in the echo context.
const (
	requestIDKey = "request id"
	sessionKey   = "session"
	senderKey    = "sender" // the session.Member as loaded; zero for a guest
	causeKey     = "cause"
	flashesKey   = "flashes"
	formKey      = "form"     // the submitted form.Values
	problemsKey  = "problems" // what is wrong with them
	streamKey    = "stream"   // the func(io.Writer) error that writes the body after the headers
)

// States of the session's flash messages, under flashesKey.
const (
	flashesTaken = "taken" // they are on the page being rendered
	flashesKept  = "kept"  // they stay in the session for a later page
)

// errPanic wraps the value of a handler's panic.
var errPanic = errors.New("panic")

// requestLog is the outermost middleware. It assigns the request ID, recovers panics,
// passes errors to the error handler, and logs one line. That line contains no header
// except the client's address, no body and no query, so it contains no secret.
func (s *Site) requestLog(next echo.HandlerFunc) echo.HandlerFunc {
	recovering := func(c echo.Context) (err error) {
		defer func() {
			if p := recover(); p != nil { // only the log shows the stack
				err = fmt.Errorf("%w: %v\n%s", errPanic, p, debug.Stack())
			}
		}()
		return next(c)
	}
	return func(c echo.Context) error {
		started := time.Now()
		id := text.Random(12) // 96 bits
		c.Set(requestIDKey, id)
		err := recovering(c)
		if err != nil {
			c.Error(err)
		}
		aborted := errors.Is(err, http.ErrAbortHandler)
		took := time.Since(started)
		ctx, method, status := c.Request().Context(), c.Request().Method, c.Response().Status
		if s.Answered != nil {
			s.Answered(method, c.Path(), status, took)
		}
		line := []slog.Attr{
			slog.String("request_id", id),
			slog.String("method", method),
			slog.String("route", c.Path()),
			slog.Int("status", status),
			slog.Duration("duration", took),
			slog.String("address", c.RealIP()),
		}
		if member, ok := memberOf(c); ok {
			line = append(line, slog.String("user_id", member.ID))
		}
		level := slog.LevelInfo
		if cause, ok := c.Get(causeKey).(error); ok {
			line = append(line, slog.String("cause", cause.Error()))
			if status >= http.StatusInternalServerError || aborted && ctx.Err() == nil {
				level = slog.LevelError
			}
		}
		s.Log.LogAttrs(ctx, level, "request", line...)
		if aborted {
			panic(http.ErrAbortHandler) // net/http then closes the connection
		}
		return nil
	}
}

// contentSecurityPolicy lets a page load only the site's own resources (ASVS 5.0
// 3.4.3). Images and the font may also be inlined in the page and the style sheet
// (data:). That saves a request for each and cannot reach another site.
const contentSecurityPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; " +
	"font-src 'self' data:; manifest-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// securityHeaderValues returns the headers set on every response, including errors and
// static files (ASVS 5.0 chapter 3.4).
func securityHeaderValues(https, subdomains bool) http.Header {
	h := http.Header{
		"Content-Security-Policy":      {contentSecurityPolicy},
		"X-Content-Type-Options":       {"nosniff"},
		"Referrer-Policy":              {"same-origin"},
		"Cross-Origin-Opener-Policy":   {"same-origin"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Permissions-Policy":           {"camera=(), geolocation=(), microphone=(), payment=(), usb=()"},
	}
	if https {
		h.Set("Strict-Transport-Security", "max-age=63072000") // two years, in seconds
	}
	if https && subdomains {
		h.Set("Strict-Transport-Security", h.Get("Strict-Transport-Security")+"; includeSubDomains")
	}
	return h
}

// linkReferrerPolicy keeps the URL of a page opened from an emailed link out of
// Referer. The browser sends only the origin, and only to a destination that is no less
// secure. With no-referrer, a browser would send the page's form with Origin: null
// (Fetch, "append a request Origin header"). That is refused if the browser sends no
// Sec-Fetch-Site either, like Safari before 16.4, and any browser over plain http to
// another machine.
const linkReferrerPolicy = "strict-origin"

// errCSRF: a request that may change something came from another origin.
var errCSRF = errors.New("cross-origin request refused")

// protect sets securityHeaderValues, and linkReferrerPolicy on the pages of emailed
// links. It refuses unsafe requests from other origins, including login and
// registration. Sec-Fetch-Site decides or, if it is missing, Origin. A request with
// neither was not sent by a browser and passes ([http.CrossOriginProtection]).
func (s *Site) protect(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		maps.Copy(c.Response().Header(), s.headers)
		if mailedLink(c.Request().URL.Path) {
			c.Response().Header().Set("Referrer-Policy", linkReferrerPolicy)
		}
		if err := s.crossOrigin.Check(c.Request()); err != nil {
			return fmt.Errorf("%w: %w", errCSRF, err)
		}
		return next(c)
	}
}

// errStrangeHost: the request names another host.
var errStrangeHost = errors.New("request for an unknown host")

// ownHost passes only requests that name this server as their host. If another site's
// name resolves to this server (DNS rebinding), a browser treats that site's page as
// same-origin with this one, so neither cookies nor Sec-Fetch-Site reveal it. Use it
// for pages that show or do more than a stranger may see or do.
func (s *Site) ownHost(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		asked := &url.URL{Host: c.Request().Host}
		name := strings.ToLower(strings.TrimSuffix(asked.Hostname(), "."))
		if name != strings.ToLower(s.BaseURL.Hostname()) && !hostname.IsLoopback(name) {
			return fmt.Errorf("%w: %.100q", errStrangeHost, name)
		}
		return next(c)
	}
}

// membersOnly redirects a guest to the login page, and from there back to the requested
// page. If the token belongs to a session that has ended, a notice on the login page
// says so: nothing else there would explain it.
func (s *Site) membersOnly(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if _, ok := current(c).Member(); ok {
			return next(c)
		}
		notice, next := s.endedNotice(c), loginURL(s.whereTo(c))
		if again := s.deletedBefore(c, notice); again != "" {
			notice, next = again, "/"
		}
		s.setFlashCookie(c, notice)
		return c.Redirect(http.StatusSeeOther, next)
	}
}

// endedNotice returns the code of the notice that the request's session has ended, or
// that the request has several session cookies; "" for neither. If there are several,
// it clears this site's cookie. Otherwise a browser that sends the other cookie for
// some pages only would be redirected between those and the login page forever.
func (s *Site) endedNotice(c echo.Context) string {
	if _, count := findCookie(c.Request(), s.sessionCookie); count > 1 {
		current(c).DropCookie()
		return flashSeveral
	}
	how, over, err := current(c).WhyEnded(c.Request().Context())
	if err != nil {
		// An unknown reason must not fail the request.
		s.Log.WarnContext(c.Request().Context(), "session revocation reason not read", "cause", err)
	}
	lost := how == "" || how == session.RevokedByIdleness
	switch {
	case !over:
		return ""
	case lost && s.InMemory():
		return flashForgotten
	case how == session.RevokedByDeletion:
		return flashDeleted
	default:
		return flashEnded + string(how)
	}
}

// current returns the session of this request. It panics for routes outside
// sessionMiddleware.
func current(c echo.Context) *session.Session {
	return c.Get(sessionKey).(*session.Session)
}

// memberOf returns the member who sent the request; ok is false for a guest and for
// routes outside sessionMiddleware.
func memberOf(c echo.Context) (member session.Member, ok bool) {
	s, ok := c.Get(sessionKey).(*session.Session)
	if !ok {
		return session.Member{}, false
	}
	return s.Member()
}

// sender returns where this request comes from, for the history, the list of devices
// and emails.
func sender(c echo.Context) text.Sender {
	return text.Sender{UserAgent: c.Request().UserAgent(), Address: c.RealIP()}
}
