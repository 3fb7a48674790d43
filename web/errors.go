package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
	"holdfast/internal/session"
)

// errorPage is what every failed request shows.
type errorPage struct {
	Status            int
	Heading, Message  string
	RequestID         string
	BackURL, BackText string
}

// failure is how one kind of error looks from outside: fixed words, never the
// cause.
type failure struct {
	status           int
	heading, message string
}

// unexpected is every error without a name.
func unexpected() failure {
	return failure{http.StatusInternalServerError, "Something went wrong here",
		"That was our fault, and nothing was changed. Please try again; if it happens again, tell us the number below."}
}

// What failed after the request had changed something, which its answer has to
// tell. Handlers put these in front of the cause.
var (
	errNotLoggedIn   = errors.New("log-in not stored")
	errAccountMade   = errors.New("account made, log-in not stored")
	errNameChanged   = errors.New("name changed, not in every session")
	errDevicesEnded  = errors.New("devices ended, and then a failure")
	errLogOutUnknown = errors.New("log-out of unknown outcome")
)

// unavailableAfter puts done in front of an error that came because a store was
// out of reach.
func unavailableAfter(done, err error) error {
	for _, cause := range []error{session.ErrUnavailable, account.ErrUnavailable, session.ErrNotNoted} {
		if errors.Is(err, cause) {
			return fmt.Errorf("%w: %w", done, err)
		}
	}
	return err
}

// named is the one table from errors to what people see of them.
func named() []struct {
	err error
	failure
} {
	sessions := failure{http.StatusServiceUnavailable, "Sessions cannot be reached just now",
		"If you were logged in, you still are. Try again in a moment."}
	people := failure{http.StatusServiceUnavailable, "Accounts cannot be reached just now",
		"Nothing was changed. Try again in a moment."}
	busy := failure{http.StatusServiceUnavailable, "Too many people are logging in at once",
		"Nothing was changed. Try again in a moment."}
	ended := failure{http.StatusConflict, "This session has ended",
		"It ended while your request was on its way, so nothing was stored. Log in and try again."}
	full := failure{http.StatusConflict, "This session holds as many values as fit",
		"Other requests were filling it at the same time, so nothing of this one was stored. Remove a value first."}
	forged := failure{http.StatusForbidden, "That request came from another site",
		"It was refused, and nothing was changed. Open the page here and try again."}
	unknown := failure{http.StatusServiceUnavailable, "Whether that was done is not known",
		"It may have been stored. Look before you try again."}
	return []struct {
		err error
		failure
	}{
		{errAccountMade, failure{http.StatusServiceUnavailable, "Your account is made",
			"Only logging in did not work just now. In a moment, log in, or send the same form again."}},
		{errNotLoggedIn, failure{http.StatusServiceUnavailable, "Logging in did not work just now",
			"Nobody was logged in. Try again in a moment."}},
		{errNameChanged, failure{http.StatusServiceUnavailable, "Your name is changed",
			"Only some sessions could not be told just now, and may greet you by the old one. Save it again in a moment."}},
		{errDevicesEnded, failure{http.StatusServiceUnavailable, "Devices were logged out",
			"Whether all of them were cannot be shown just now. Look at the list in a moment."}},
		{errLogOutUnknown, failure{http.StatusServiceUnavailable, "Whether you are logged out is not known",
			"You may be. Log out once more in a moment."}},
		{session.ErrNotNoted, failure{http.StatusServiceUnavailable, "That could not be noted just now",
			"The session has ended, but no note of it could be kept. Do the same once more in a moment."}},
		{session.ErrOutcomeUnknown, unknown},
		{account.ErrOutcomeUnknown, unknown},
		{session.ErrUnavailable, sessions},
		{session.ErrEnded, ended},
		{session.ErrFlashTaken, unexpected()},
		{session.ErrFull, full},
		{account.ErrUnavailable, people},
		{account.ErrBusy, busy},
		{errForgery, forged},
		{form.ErrTooLarge, byStatus(http.StatusRequestEntityTooLarge)},
		{form.ErrContentType, byStatus(http.StatusUnsupportedMediaType)},
		{form.ErrMalformed, byStatus(http.StatusBadRequest)},
	}
}

// byStatus is for the errors that Echo and forms know by their status.
func byStatus(status int) failure {
	switch status {
	case http.StatusBadRequest:
		return failure{status, "That request cannot be understood", "Nothing was changed. Go back to the page and try again."}
	case http.StatusNotFound:
		return failure{status, "There is no such page", "The address may have a slip in it, or the page has gone."}
	case http.StatusMethodNotAllowed:
		return failure{status, "That cannot be done here", "This address does not take that kind of request."}
	case http.StatusRequestEntityTooLarge:
		return failure{status, "That is too much at once", "The form is larger than this site takes. Nothing was stored."}
	case http.StatusUnsupportedMediaType:
		return failure{status, "That kind of data is not taken here", "Send an ordinary form. Nothing was stored."}
	default:
		return unexpected()
	}
}

// failureOf finds what a person is told about err.
func failureOf(err error) failure {
	for _, row := range named() {
		if errors.Is(err, row.err) {
			return row.failure
		}
	}
	var known *echo.HTTPError
	if errors.As(err, &known) {
		return byStatus(known.Code)
	}
	return unexpected()
}

// retryAfter tells a client to come back, in seconds.
const retryAfter = "5"

// requestIDMark stands in a rendered error page where the request's id goes.
const requestIDMark = "request-id-goes-here"

// failurePages are the error pages, made when the program starts, so that
// showing one needs neither session nor database nor a template that works.
type failurePages map[failure][]byte

func (s *Site) renderFailures() (failurePages, error) {
	all := []failure{unexpected()}
	for _, row := range named() {
		all = append(all, row.failure)
	}
	for status := 400; status < 600; status++ {
		all = append(all, byStatus(status))
	}
	pages := failurePages{}
	for _, f := range all {
		if pages[f] != nil {
			continue
		}
		var page bytes.Buffer
		l := s.layout("")
		l.Title, l.Neutral = title(f.heading), true
		err := s.renderer.render(&page, "error", view{l, errorPage{
			Status: f.status, Heading: f.heading, Message: f.message,
			RequestID: requestIDMark, BackURL: "/", BackText: "Go to the first page",
		}})
		if err != nil {
			return nil, err
		}
		pages[f] = page.Bytes()
	}
	return pages, nil
}

// fail answers a request that ended in err. It is Echo's HTTPErrorHandler, the
// only place that turns errors into answers.
func (s *Site) fail(err error, c echo.Context) {
	c.Set(causeKey, err)
	if c.Response().Committed {
		return
	}
	if errors.Is(err, context.Canceled) && c.Request().Context().Err() != nil {
		err = errors.Join(err, echo.NewHTTPError(http.StatusBadRequest)) // the client has gone
	}
	f := failureOf(err)
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	if f.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
	id, _ := c.Get(requestIDKey).(string)
	if wantsJSON(c.Request()) {
		_ = c.JSON(f.status, map[string]string{"error": f.heading + ". " + f.message, "request_id": id})
		return
	}
	page := bytes.ReplaceAll(s.failures[f], []byte(requestIDMark), []byte(id))
	_ = c.HTMLBlob(f.status, page)
}

// wantsJSON reports whether the client asked for JSON rather than a page.
func wantsJSON(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}
