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
	Method, Path string
	Status       int
	At           web.Moment
	Took         string
	Calls        []recentCall
	Left         int    // commands and statements not kept
	Changes      string // what was done to the session
	Cookies      []string
}

type recentCall struct{ To, Text, Took, Cause string }

// showRecent lists what the last requests of this session made the server do.
func (s *Pages) showRecent(c echo.Context) error {
	p := recentPage{Known: web.Current(c).Stored(), Most: trace.PerSession}
	for _, r := range s.Recent.Of(watched(c).Session()) {
		p.Requests = append(p.Requests, s.describeRequest(r))
	}
	return s.Render(c, http.StatusOK, "recent", "Recent requests", p)
}

func (s *Pages) describeRequest(r trace.Request) recentRequest {
	described := recentRequest{
		Method: r.Method, Path: r.Path, Status: r.Status,
		At: web.MomentAt(r.At, s.Now()), Took: milliseconds(r.Took),
		Left: r.Left, Changes: actWords(r),
	}
	for _, call := range r.Calls {
		described.Calls = append(described.Calls, recentCall{
			To: capital(call.To), Text: oneLine(call.Text), Took: milliseconds(call.Took), Cause: call.Cause,
		})
	}
	for _, cookie := range r.Cookies {
		described.Cookies = append(described.Cookies,
			strings.Join(append([]string{cookie.Name + "=" + cookie.Value.String()}, cookie.Attributes...), "; "))
	}
	return described
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
