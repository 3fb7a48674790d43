package web

import (
	"maps"
	"slices"
	"sync"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/session"
)

// shared holds the files of the test sites.
var shared sync.Map

// loadOnce loads the files once for all test sites with the same number of extensions
// and the same learn.
func loadOnce(extensions []Extension, learn bool) (*files, error) {
	type kind struct {
		extensions int
		learn      bool
	}
	load, _ := shared.LoadOrStore(kind{len(extensions), learn}, sync.OnceValues(func() (*files, error) { return loadFiles(extensions) }))
	return load.(func() (*files, error))()
}

// HistoryKinds returns the events that the history describes.
func HistoryKinds() []account.EventKind { return slices.Collect(maps.Keys(eventWords)) }

// NewSharing is New with the files that the test sites share.
func NewSharing(cfg Config) (*Site, error) {
	files, err := loadOnce(cfg.Extensions, cfg.NamePlaces)
	if err != nil {
		return nil, err
	}
	return newSite(cfg, files)
}

// Routes lists all routes of the site, as "METHOD /path", sorted.
func (s *Site) Routes() []string {
	var routes []string
	for _, route := range s.echo.Routes() {
		routes = append(routes, route.Method+" "+route.Path)
	}
	slices.Sort(routes)
	return routes
}

// AddPage adds a public page for GET and POST, handled by h. It is for what no page of
// the site does by itself, such as failing halfway.
func (s *Site) AddPage(path string, h func(echo.Context, *session.Session) error) {
	handler := func(c echo.Context) error { return h(c, current(c)) }
	public := s.withSession()
	public.Get(path, handler)
	s.echo.POST(path, public.wrap(handler))
}

// StreamKey is the key under which a handler stores the function that writes its body.
const StreamKey = streamKey

// ShowPage renders a page as handlers do, with any struct.
func (s *Site) ShowPage(c echo.Context, name string, page any) error {
	return s.Render(c, 200, name, name, page)
}

// AccountValue returns the form field value for the account that a form was shown for;
// "" is a guest.
func AccountValue(id string) string { return formValue(session.Member{ID: id}) }
