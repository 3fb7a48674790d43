package web

import (
	"context"

	"github.com/labstack/echo/v4"

	"holdfast/internal/learn/trace"
)

// watch records what is done for one request of a session, for the pages that
// show it to the person who sent it. It is installed with LEARN only.
func (s *Site) watch(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, rec, at := c.Request(), trace.New(c.Path() == explainPath), s.Now()
		c.SetRequest(r.WithContext(watching(rec.Watch(r.Context(), s.Connections), rec)))
		err := next(c)
		status := c.Response().Status
		if err != nil {
			status = failureOf(err).status
		}
		s.recent.Keep(rec, trace.Request{
			At:     at,
			Method: r.Method,
			Path:   c.Path(),
			Status: status,
			Took:   rec.Elapsed(),
		})
		return err
	}
}

// watching returns a context in which rec records what this package does.
func watching(ctx context.Context, rec *trace.Recorder) context.Context {
	return WithTrace(ctx, &Trace{
		GotCookie: func(name, value string, count int) {
			rec.Add(1, trace.Cookie{Name: name, Count: count, Value: trace.Mask(value)})
		},
		Retried:     rec.NextAttempt,
		SentCookies: func(headers []string) { rec.Add(1, trace.CookiesOf(headers)) },
	})
}

// watched is the Recorder of this request; without LEARN there is none.
func watched(c echo.Context) *trace.Recorder { return trace.From(c.Request().Context()) }
