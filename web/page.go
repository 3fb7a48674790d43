package web

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

// page answers with a page of the site inside the layout. The layout is filled
// here and nowhere else.
func (s *Site) page(c echo.Context, status int, name, heading string, page any) error {
	return s.pageWith(c, status, name, heading, s.takeNotices(c), page)
}

// takeNotices returns what the next page is to show once. HEAD shows nobody
// anything, so it leaves that where it is.
func (s *Site) takeNotices(c echo.Context) []string {
	if c.Request().Method != http.MethodGet || c.Get(noticesKey) == noticesHeld {
		return nil
	}
	notices := current(c).TakeFlashes()
	if len(notices) > 0 {
		c.Set(noticesKey, noticesTaken)
	}
	return append(notices, s.takeParting(c)...)
}

// pageWith is page for a handler that has taken the notices itself.
func (s *Site) pageWith(c echo.Context, status int, name, heading string, notices []string, page any) error {
	l := s.layout(c.Request().URL.Path)
	l.Title = title(heading)
	if member, ok := memberOf(c); ok {
		l.Member = member.Name
	}
	l.Notices = notices
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
