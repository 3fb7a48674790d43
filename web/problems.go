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

// refuse answers a form with its page again, which show renders, if err is
// something the sender can fix: with 422, or with 429 for an attempt that came too
// early. Other errors are returned.
func (s *Site) refuse(c echo.Context, err error, show func(status int, p problems) error) error {
	if wrong, ok := errors.AsType[form.Errors](err); ok {
		return show(http.StatusUnprocessableEntity, problems{Errors: wrong})
	}
	early, ok := errors.AsType[*throttle.RetryAfterError](err)
	if !ok {
		return err
	}
	seconds := int((early.Wait + time.Second - 1) / time.Second)
	c.Response().Header().Set("Retry-After", strconv.Itoa(seconds))
	s.logEvent(c, "throttled", "", slog.String("rule", early.Rule))
	return show(http.StatusTooManyRequests, problems{Failed: "Too many attempts. Try again in " + waitWords(seconds) + "."})
}

// waitWords rounds up, so that no one comes back too early.
func waitWords(seconds int) string {
	if seconds <= 90 {
		return Count(seconds, "second")
	}
	return Count((seconds+59)/60, "minute")
}
