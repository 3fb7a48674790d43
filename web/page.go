package web

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

// page answers with a page of the site inside the layout. The layout is filled
// here and nowhere else.
func (s *Site) page(c echo.Context, status int, name, heading string, page any) error {
	l := s.layout(c.Request().URL.Path)
	l.Title = title(heading)
	if member, ok := memberOf(c); ok {
		l.Member = member.Name
	}
	// HEAD shows nobody anything, so it leaves what is to be shown once.
	if c.Request().Method == http.MethodGet {
		l.Notices = append(current(c).TakeNotices(), s.takeParting(c)...)
	}
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	c.Response().WriteHeader(status)
	return s.renderer.render(c.Response(), name, view{l, page})
}

// layout is the part that is the same for every page.
func (s *Site) layout(path string) layout {
	return layout{
		Path:     path,
		Learn:    s.Learn,
		Version:  s.Version,
		Instance: s.instance(),
		Store:    s.Sessions.Where(),
	}
}

// instance names this run of the server.
func (s *Site) instance() string {
	return "start " + strconv.FormatInt(s.Process.Start, 10) + ", process " + strconv.Itoa(s.Process.ID)
}

func title(heading string) string {
	if heading == "" {
		return "Holdfast"
	}
	return heading + " · Holdfast"
}
