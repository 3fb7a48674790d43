package pages

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"holdfast/internal/learn/trace"
	"holdfast/web"
)

type recentPage struct {
	Known    bool // whether there is a session
	Most     int
	Requests []recentRequest
}

type recentRequest struct {
	trace.Request
	At      web.Moment
	Changes string // what was done to the session
}

// showRecent lists what the server did for the last requests of this session.
func (s *Pages) showRecent(c echo.Context) error {
	p := recentPage{Known: web.Current(c).Stored(), Most: trace.PerSession}
	for _, r := range s.Recent.Of(watched(c).Session()) {
		p.Requests = append(p.Requests, recentRequest{Request: r, At: web.MomentAt(r.At, s.Now()), Changes: actWords(r)})
	}
	return s.Render(c, http.StatusOK, "recent", "Recent requests", p)
}

// actWords describes what a request did to its session.
func actWords(r trace.Request) string {
	switch {
	case r.Act == "":
		return "nothing: the request failed"
	case len(r.Changes) == 0:
		return "nothing"
	default:
		return strings.Join(r.Changes, ", ")
	}
}
