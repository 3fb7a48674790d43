package web

import (
	"slices"
	"sync"

	"github.com/labstack/echo/v4"

	"holdfast/internal/learn/trace"
	"holdfast/internal/session"
)

// loadOnce loads the files for all sites of the tests.
var loadOnce = sync.OnceValues(loadFiles)

// NewSharing is New with the files that all sites of the tests share.
func NewSharing(cfg Config) (*Site, error) {
	files, err := loadOnce()
	if err != nil {
		return nil, err
	}
	return newSite(cfg, files)
}

// Routes lists all that the site answers, as "METHOD /path", sorted.
func (s *Site) Routes() []string {
	var routes []string
	for _, route := range s.echo.Routes() {
		routes = append(routes, route.Method+" "+route.Path)
	}
	slices.Sort(routes)
	return routes
}

// AddPage adds a public page under GET and POST, made by h, for what no page
// of the site does by itself: failing halfway.
func (s *Site) AddPage(path string, h func(echo.Context, *session.Session) error) {
	handler := func(c echo.Context) error { return h(c, current(c)) }
	public := s.withSession()
	public.get(path, handler)
	public.post(path, handler)
}

// ShowPage renders a page as handlers do, with whatever struct it is given.
func (s *Site) ShowPage(c echo.Context, name string, page any) error {
	return s.page(c, 200, name, name, page)
}

// EndingWords is how the page of devices puts the end of a session.
func EndingWords(how session.EndReason) string { return endingWords(how) }

// Recent is all that is kept of requests that are over.
func (s *Site) Recent() []trace.Request { return s.recent.All() }

// AccountValue is the value by which a form names the account it was shown for;
// "" is a guest.
func AccountValue(id string) string { return formValue(session.Member{ID: id}) }
