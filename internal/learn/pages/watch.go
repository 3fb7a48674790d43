package pages

import (
	"github.com/labstack/echo/v4"

	"holdfast/internal/learn/trace"
	"holdfast/web"
)

// watch records what the server does for a request, for the pages that show it to
// the person who sent it.
func (s *Pages) watch(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, rec, at := c.Request(), trace.New(c.Path() == explainPath), s.Now()
		c.SetRequest(r.WithContext(web.WithTrace(rec.Watch(r.Context(), s.Connections), &web.Trace{
			GotCookie: func(name, value string, count int) {
				rec.Add(1, trace.Cookie{Name: name, Count: count, Value: trace.Mask(value)})
			},
			Retried:     rec.NextAttempt,
			SentCookies: func(headers []string) { rec.Add(1, trace.CookiesOf(headers)) },
		})))
		err := next(c)
		status := c.Response().Status
		if err != nil {
			status = s.StatusOf(err)
		}
		s.Recent.Keep(rec, trace.Request{
			At:     at,
			Method: r.Method,
			Path:   c.Path(),
			Status: status,
			Took:   rec.Elapsed(),
		})
		return err
	}
}

// watched returns the Recorder of this request.
func watched(c echo.Context) *trace.Recorder { return trace.From(c.Request().Context()) }
