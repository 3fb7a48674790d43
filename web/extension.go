package web

import (
	"io/fs"

	"github.com/labstack/echo/v4"

	"holdfast/internal/form"
	"holdfast/internal/session"
)

// Extension adds pages to a site from outside this package. Its handlers get the sender
// from [Current], respond with [Site.Render], and return errors, which the site handles
// like its own.
type Extension struct {
	// Templates hold pages/*.html and partials/*.html. They may use the site's
	// partials. To link to their pages, they may define the partials of
	// templates/partials/slots.html, which are otherwise empty.
	Templates []fs.FS
	// Errors is what users see for the extension's named errors.
	Errors []NamedError
	// Around, if set, wraps the handling of every request that has a session.
	Around echo.MiddlewareFunc
	// Routes is called once, by [New].
	Routes func(s *Site, public, members Group)
}

// Current returns the session of a request to a route of a [Group].
func Current(c echo.Context) *session.Session { return current(c) }

// Sent returns the form fields of a request to a route of [Group.Post].
func Sent(c echo.Context) form.Values { return formOf(c) }

// LogCause makes the request's log line say why a page shows a failure.
func LogCause(c echo.Context, err error) { c.Set(causeKey, err) }

// StatusOf returns the response status of a request that fails with err.
func (s *Site) StatusOf(err error) int { return s.failureOf(err).Status }
