package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	stdpath "path"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/fault"
	"holdfast/internal/form"
	"holdfast/internal/httpserver"
	"holdfast/internal/session"
)

// errorPage is shown for every failed request.
type errorPage struct {
	Status           string
	Heading, Message string
	RequestID        string
	OnURL, OnText    string // the main button; "" for none
	Back             bool   // whether to link to the home page as well
}

// Failures after a request has changed something. Handlers wrap the cause in one of
// these, and the error page says what changed.
var (
	errNotLoggedIn   = errors.New("login not stored")
	errAccountMade   = errors.New("account created, login not stored")
	errMailAsked     = errors.New("email requested, session not stored")
	errDeleted       = errors.New("account deleted, session not deleted from the store")
	errClosing       = errors.New("account to be deleted, session not deleted from the store")
	errPasswordSet   = errors.New("password changed, login not stored")
	errNameChanged   = errors.New("name changed, but not in every session")
	errDevicesEnded  = errors.New("devices revoked, then failed")
	errLogOutUnknown = errors.New("logout outcome unknown")
)

// errDiskFull: the remaining disk space is reserved for requests that end sessions.
var errDiskFull = errors.New("the disk is full")

// unavailableAfter wraps err in done if its cause is an unavailable store.
func unavailableAfter(done, err error) error {
	for _, cause := range []error{session.ErrUnavailable, fault.ErrUnavailable, session.ErrNotRecorded} {
		if errors.Is(err, cause) {
			return fmt.Errorf("%w: %w", done, err)
		}
	}
	return err
}

// done redirects a request that has changed something to path, with a notice there. If
// the notice cannot be stored, it returns an error that wraps after, which says what
// changed.
func (s *Site) done(c echo.Context, after error, path, notice string) error {
	current(c).Flash(notice)
	if err := s.Sessions.Commit(current(c)); err != nil {
		return unavailableAfter(after, err)
	}
	return c.Redirect(http.StatusSeeOther, path)
}

// NamedError is what users see for one kind of error: fixed words, never the cause.
type NamedError struct {
	Err              error // nil for the default row of this status
	Status           int
	Heading, Message string // "" for the default of the status
}

// nameMark in a message is replaced by the sender's name.
const nameMark = "{name}"

// namedErrors returns the one table from errors to what users see. The first match
// applies. The last row is for every error without a name.
func namedErrors(extensions []Extension) []NamedError {
	table := []NamedError{
		{errAccountMade, http.StatusServiceUnavailable, "Your account has been created",
			"But we couldn’t log you in. Wait a moment, then log in or send the same form again."},
		{errMailAsked, http.StatusServiceUnavailable, "An email is on its way",
			"We just can’t show the next page right now. Nothing else changes until you open the link in the email."},
		{errDeleted, http.StatusServiceUnavailable, "Your account has been deleted",
			"You are logged out everywhere, or will be in a moment."},
		{errClosing, http.StatusServiceUnavailable, "Your account will be deleted in 7 days",
			"You are logged out everywhere, or will be in a moment. To keep your account, follow the link that we emailed you."},
		{errPasswordSet, http.StatusServiceUnavailable, "Your password has been changed",
			"Your other devices are logged out, or will be in a moment. If asked, log in with your new password."},
		{errNotLoggedIn, http.StatusServiceUnavailable, "We couldn’t log you in", "Try again in a moment."},
		{errNameChanged, http.StatusServiceUnavailable, "Your name has been changed",
			"Some of your devices may still show the old name. Save it again in a moment."},
		{errDevicesEnded, http.StatusServiceUnavailable, "Some devices were logged out",
			"We can’t tell right now if all of them were. Check the list in a moment."},
		{errLogOutUnknown, http.StatusServiceUnavailable, "We don’t know if you are logged out",
			"You may be. To be sure, log out again in a moment."},
		{session.ErrNotRecorded, http.StatusServiceUnavailable, "We couldn’t record that",
			"The session ended, but we couldn’t save a record of it. Do the same again in a moment."},
		{fault.ErrOutcomeUnknown, http.StatusServiceUnavailable, "We don’t know if that worked",
			"Your change may have been saved. Check before you try again."},
		{session.ErrUnavailable, http.StatusServiceUnavailable, "We can’t look up sessions right now",
			"If you were logged in, you still are. Try again in a moment."},
		{session.ErrEnded, http.StatusConflict, "Your session has ended",
			"It ended before your request was done, so nothing was saved. Log in and try again."},
		{session.ErrFull, http.StatusConflict, "This session is full",
			"Another request filled it at the same time, so nothing was saved. Remove a value, then try again."},
		{fault.ErrUnavailable, http.StatusServiceUnavailable, "We can’t reach the database right now",
			"Nothing was changed. Try again in a moment."},
		{fault.ErrNotFound, http.StatusNotFound, "", ""},
		{session.ErrNoDevice, http.StatusNotFound, "", ""},
		{account.ErrUndoPossible, http.StatusConflict, "Your account can’t be deleted yet",
			"Its email address was changed a few days ago, and this can still be undone. If no one undoes it, your account will then be deleted."},
		{account.ErrBusy, http.StatusServiceUnavailable, "Too many people are logging in at once",
			"Nothing was changed. Try again in a moment."},
		{errCSRF, http.StatusForbidden, "That request came from another site",
			"We refused it, and nothing was changed. Open the page on this site and try again."},
		{errOtherAccount, http.StatusConflict, "Nothing was changed",
			"You are now logged in as " + nameMark + ". This page belonged to another account."},
		{errGuestLeft, http.StatusConflict, "Nothing was changed",
			"You are now logged in as " + nameMark + ". This page is from before you logged in."},
		{errAccountLeft, http.StatusConflict, "Nothing was changed",
			"You are no longer logged in. This page belonged to an account."},
		{errNoAccount, http.StatusConflict, "Nothing was changed",
			"The form does not say which account it belongs to. Open its page again, and send it from there."},
		{errStrangeHost, http.StatusMisdirectedRequest, "This page is not available at this address",
			"To keep other sites out, it opens only at the server’s own address. Nothing was changed."},
		{httpserver.ErrRestarting, http.StatusServiceUnavailable, "The server is restarting",
			"Your request did not get through, so nothing was changed. Try again in a moment."},
		{errDiskFull, http.StatusServiceUnavailable, "The server’s disk is full",
			"Nothing was saved. You can still log out, log out other devices, and delete your account."},
		{form.ErrTooLarge, http.StatusRequestEntityTooLarge, "", ""},
		{form.ErrContentType, http.StatusUnsupportedMediaType, "", ""},
		{form.ErrMalformed, http.StatusBadRequest, "", ""},
	}
	for _, e := range extensions {
		table = append(table, e.Errors...)
	}
	return append(table, []NamedError{
		{nil, http.StatusBadRequest, "We couldn’t understand that request", "Nothing was changed. Go back and try again."},
		{nil, http.StatusNotFound, "Page not found", "Check the address for typos. The page may have moved."},
		{nil, http.StatusMethodNotAllowed, "You can’t do that here", "This address does not accept that kind of request."},
		{nil, http.StatusRequestEntityTooLarge, "That form is too large", "It is larger than this site accepts. Nothing was saved."},
		{nil, http.StatusUnsupportedMediaType, "We can’t read that kind of data", "Send an ordinary HTML form. Nothing was saved."},
		{nil, http.StatusInternalServerError, "Something went wrong",
			"This is our fault. Nothing was changed. Try again, and if it keeps happening, send us the request ID below."},
	}...)
}

// failureOf returns what users see for err.
func (s *Site) failureOf(err error) NamedError {
	var status int
	if known, ok := errors.AsType[*echo.HTTPError](err); ok {
		status = known.Code
	}
	for _, row := range s.errors {
		if row.Err != nil && errors.Is(err, row.Err) {
			if row.Heading != "" {
				return row
			}
			status = row.Status
			break
		}
	}
	for _, row := range s.errors {
		if row.Err == nil && row.Status == status {
			return row
		}
	}
	return s.errors[len(s.errors)-1]
}

// retryAfter is how long a client should wait before a retry, in seconds.
const retryAfter = "5"

// fail responds to a request that failed with err. It is Echo's HTTPErrorHandler, the
// only function that turns errors into responses.
func (s *Site) fail(err error, c echo.Context) {
	c.Set(causeKey, err)
	if c.Response().Committed {
		return
	}
	if errors.Is(err, context.Canceled) && c.Request().Context().Err() != nil {
		err = errors.Join(err, echo.NewHTTPError(http.StatusBadRequest)) // the client disconnected
	}
	f := s.failureOf(err)
	r, h := c.Request(), c.Response().Header()
	h.Set("Cache-Control", "no-store")
	if f.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
	id, _ := c.Get(requestIDKey).(string)
	if wantsJSON(r) {
		found, _ := c.Get(senderKey).(session.Member)
		words := f.Heading + ". " + strings.ReplaceAll(f.Message, nameMark, found.Name)
		_ = c.JSON(f.Status, map[string]string{"error": words, "request_id": id})
		return
	}
	if f.Status == http.StatusMethodNotAllowed && safe(r) {
		// The user reloaded, or went back to, a URL that a form was sent to.
		_ = c.Redirect(http.StatusSeeOther, s.formPage(r.URL.Path))
		return
	}
	if f.Status == http.StatusServiceUnavailable && safe(r) {
		h.Set("Refresh", retryAfter)
	}
	who, known := s.whoAsks(c, err, f.Status)
	l := s.frame
	l.Neutral, l.Member, l.Account = !known, who.Name, formValue(who)
	p := errorPage{Status: strconv.Itoa(f.Status), Heading: f.Heading, RequestID: id}
	p.Message = strings.ReplaceAll(f.Message, nameMark, who.Name)
	p.OnURL, p.OnText = s.wayOn(f, c)
	p.Back = p.OnURL != "/"
	_ = s.write(c, f.Status, "error", f.Heading, l, p) // if this fails, nothing else can be shown
}

// wayOn returns the URL and the text of an error page's main button.
func (s *Site) wayOn(f NamedError, c echo.Context) (url, text string) {
	r := c.Request()
	switch {
	case errors.Is(f.Err, session.ErrEnded):
		return loginURL(s.formPage(r.URL.Path)), "Log in"
	case !safe(r) && f.Status != http.StatusNotFound && f.Status != http.StatusMethodNotAllowed:
		if mailedLink(r.URL.Path) {
			return linkPage(c, f.Status != http.StatusForbidden), "Back to the form"
		}
		return s.formPage(r.URL.Path), "Back to the form"
	case f.Status < http.StatusInternalServerError: // a retry cannot help
		return "", ""
	}
	again := r.URL.RequestURI()
	if !strings.HasPrefix(again, "/") || strings.HasPrefix(again, "//") || strings.Contains(again, "\\") {
		again = "/" // browsers treat the other forms as another host
	}
	return again, "Try again"
}

// formPage returns the page whose form is sent to path: the page at that path, or
// the nearest one above it.
func (s *Site) formPage(path string) string {
	for path != "/" && path != "." && !s.getPaths[path] {
		path = stdpath.Dir(path)
	}
	if path == "." {
		return "/"
	}
	return path
}

// whoAsks returns the sender of a failed request. known is false if no session was
// looked up, or if the store is unavailable. If no session was loaded because the page
// does not exist, whoAsks loads it: the request has already failed, so an unavailable
// store does no further harm.
func (s *Site) whoAsks(c echo.Context, err error, status int) (who session.Member, known bool) {
	if errors.Is(err, session.ErrUnavailable) {
		return who, false
	}
	if errors.Is(err, session.ErrEnded) {
		return who, true
	}
	r := c.Request()
	who, known = c.Get(senderKey).(session.Member)
	if known || status != http.StatusNotFound || !safe(r) || strings.HasPrefix(r.URL.Path, assetPrefix) {
		return who, known
	}
	loaded, err := s.Sessions.Load(r.Context(), s.token(c))
	if err != nil {
		return who, false
	}
	who, _ = loaded.Member()
	return who, true
}

// wantsJSON reports whether the client asked for JSON rather than a page.
func wantsJSON(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}
