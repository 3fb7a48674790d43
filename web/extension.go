package web

import (
	"errors"
	"io/fs"

	"github.com/labstack/echo/v4"

	"holdfast/internal/form"
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

// Sent returns the fields of the form that a request to a route of [Group.Post] has
// sent.
func Sent(c echo.Context) form.Values { return formOf(c) }

// LogCause has the request's log line say why a page shows a failure.
func LogCause(c echo.Context, err error) { c.Set(causeKey, err) }

// StatusOf is the status with which a request is answered that fails with err.
func (s *Site) StatusOf(err error) int { return s.failureOf(err).Status }
