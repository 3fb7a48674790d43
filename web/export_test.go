package web

import (
	"slices"
	"sync"

	"github.com/labstack/echo/v4"

	"holdfast/internal/session"
)

// shared are the files of the sites of the tests.
var shared sync.Map

// loadOnce loads the files for all sites of the tests that have as many extensions
// and learn or not.
func loadOnce(extensions []Extension, learn bool) (*files, error) {
	type kind struct {
		extensions int
		learn      bool
	}
	load, _ := shared.LoadOrStore(kind{len(extensions), learn}, sync.OnceValues(func() (*files, error) { return loadFiles(extensions) }))
	return load.(func() (*files, error))()
}

// NewSharing is New with the files that the sites of the tests share.
func NewSharing(cfg Config) (*Site, error) {
	files, err := loadOnce(cfg.Extensions, cfg.NamePlaces)
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
	public.Get(path, handler)
	s.echo.POST(path, public.wrap(handler))
}

// StreamKey is under which a handler leaves what writes its body.
const StreamKey = streamKey

// ShowPage renders a page as handlers do, with whatever struct it is given.
func (s *Site) ShowPage(c echo.Context, name string, page any) error {
	return s.Render(c, 200, name, name, page)
}

// AccountValue is the value by which a form names the account it was shown for;
// "" is a guest.
func AccountValue(id string) string { return formValue(session.Member{ID: id}) }
