package web

import (
	"errors"
	"io/fs"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/session"
	"holdfast/templates"
)

// Extension adds pages to a site from outside this package. Its handlers get the
// sender from [Current], answer with [Site.Render], and return errors, which the
// site turns into answers as it does with its own.
type Extension struct {
	// Templates have pages/*.html and partials/*.html. They may use the partials of
	// the site, and define those of templates/partials/slots.html, which are
	// empty otherwise, to link to the pages.
	Templates []fs.FS
	// Errors says how named errors of the extension look.
	Errors []NamedError
	// Around, if set, is put around the handling of every request that has a
	// session.
	Around echo.MiddlewareFunc
	// Routes is called once, by [New].
	Routes func(s *Site, public, members Group)
}

// NamedError is how an error looks to who sent the request.
type NamedError struct {
	Err              error
	Status           int
	Heading, Message string // "" for those of the status
}

func (n NamedError) failure() failure {
	if n.Heading == "" {
		return byStatus(n.Status)
	}
	return failure{status: n.Status, heading: n.Heading, message: n.Message}
}

// allTemplates are the templates of the site and of its extensions.
func allTemplates(extensions []Extension) fs.FS {
	all := layered{templates.FS}
	for _, e := range extensions {
		all = append(all, e.Templates...)
	}
	return all
}

// layered is several file systems as one, which have no file in common. Partials
// are parsed in their order, so that a later one replaces an earlier one.
type layered []fs.FS

func (l layered) Open(name string) (fs.File, error) {
	for _, files := range l {
		file, err := files.Open(name)
		if !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// Glob implements [fs.GlobFS].
func (l layered) Glob(pattern string) (all []string, err error) {
	for _, files := range l {
		found, err := fs.Glob(files, pattern)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// Current is the session of a request to a route of a [Group].
func Current(c echo.Context) *session.Session { return current(c) }

// Render answers with pages/name.html inside the layout. heading is the title of
// the page.
func (s *Site) Render(c echo.Context, status int, name, heading string, page any) error {
	return s.page(c, status, name, heading, page)
}

// RenderCommitted is Render for a page that shows what the request stored: it
// commits the session, and then calls page.
func (s *Site) RenderCommitted(c echo.Context, status int, name, heading string, page func() any) error {
	flashes := s.takeFlashes(c)
	if err := s.commit(c, c.Response()); err != nil {
		return err
	}
	return s.pageWith(c, status, name, heading, flashes, page())
}

// LogCause has the request's log line say why a page shows a failure.
func LogCause(c echo.Context, err error) { c.Set(causeKey, err) }

// StatusOf is the status with which a request is answered that fails with err.
func (s *Site) StatusOf(err error) int { return s.failureOf(err).status }

// InMemory reports whether sessions are in the memory of this server.
func (s *Site) InMemory() bool { return s.inMemory() }

// What pages show: a time, for the partial "moment", and a session in a list of
// devices, for the partials "device" and "deviceLine".
type (
	Moment     = moment
	DeviceCard = deviceCard
)

// MomentAt describes t relative to now.
func MomentAt(t, now time.Time) Moment { return momentAt(t, now) }

// Distance describes a time relative to now: "3 minutes ago", "in 23 hours".
func Distance(d time.Duration) string { return distance(d) }

// Count is a number of things: "1 device", "2 devices".
func Count(n int, unit string) string { return count(n, unit) }

// DeviceCards are live sessions as a page shows them to the sender; others is how
// many of them are not that of the request.
func DeviceCards(c echo.Context, live []session.Device, now time.Time) (cards []DeviceCard, others int) {
	return deviceCards(c, live, now)
}

// RevocationWords is how the page of devices says why a session has ended.
func RevocationWords(why session.EndReason) string { return endingWords(why) }
