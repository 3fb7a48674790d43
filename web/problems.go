package web

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/form"
	"holdfast/internal/throttle"
)

// problems are what is wrong with a form, as its page shows it.
type problems struct {
	Failed string // with the whole form
	Errors form.Errors
}

// status returns the response status for the form's page.
func (p problems) status() int {
	switch {
	case p.Failed != "":
		return http.StatusTooManyRequests
	case p.Errors != nil:
		return http.StatusUnprocessableEntity
	default:
		return http.StatusOK
	}
}

// formOf returns the fields of the submitted form; nil if there is none.
func formOf(c echo.Context) form.Values {
	sent, _ := c.Get(formKey).(form.Values)
	return sent
}

// problemsOf returns what is wrong with the submitted form, for the page that shows it
// again; nothing if the page is shown for the first time.
func problemsOf(c echo.Context) problems {
	wrong, _ := c.Get(problemsKey).(problems)
	return wrong
}

// submit parses a form and calls h to handle it. If the sender can fix what is wrong,
// page shows the form again: with 422, or with 429 for an attempt that came too early.
func (s *Site) submit(h, page echo.HandlerFunc, fields []string) echo.HandlerFunc {
	return func(c echo.Context) error {
		sent, err := form.Parse(c.Request(), fields...)
		if err != nil {
			return err
		}
		c.Set(formKey, sent)
		err = h(c)
		var wrong problems
		if early, ok := errors.AsType[*throttle.RetryAfterError](err); ok {
			seconds := int((early.Wait + time.Second - 1) / time.Second)
			c.Response().Header().Set("Retry-After", strconv.Itoa(seconds))
			s.logEvent(c, "throttled", "", slog.String("rule", early.Rule))
			wrong.Failed = "Too many attempts. Try again in " + waitWords(seconds) + "."
		} else if !errors.As(err, &wrong.Errors) {
			return err
		}
		c.Set(problemsKey, wrong)
		return page(c)
	}
}

// waitWords rounds up, so that no one comes back too early.
func waitWords(seconds int) string {
	if seconds <= 90 {
		return Count(seconds, "second")
	}
	return Count((seconds+59)/60, "minute")
}
