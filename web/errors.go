package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
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
	"holdfast/internal/view"
)

// errorPage is shown for every failed request.
type errorPage struct {
	Status           string
	Heading, Message string
	RequestID        string
	OnURL, OnText    string // the main button; "" for none
	Back             bool   // whether to link to the home page as well
}

// failure is what users see of one kind of error: fixed words, never the cause.
type failure struct {
	status           int
	heading, message string
	again            bool // a retry may succeed in a moment
	login            bool // the button leads to the login page
}

// unexpected is for every error without a name.
func unexpected() failure {
	return failure{status: http.StatusInternalServerError, heading: "Something went wrong", again: true,
		message: "This is our fault. Nothing was changed. Try again, and if it keeps happening, send us the request ID below."}
}

// The failures after a request has changed something. The error page says what
// was changed. Handlers wrap the cause in one of these.
var (
	errNotLoggedIn   = errors.New("login not stored")
	errAccountMade   = errors.New("account created, login not stored")
	errMailAsked     = errors.New("email requested, session not stored")
	errDeleted       = errors.New("account deleted, session not deleted from the store")
	errPasswordSet   = errors.New("password changed, login not stored")
	errNameChanged   = errors.New("name changed, but not in every session")
	errDevicesEnded  = errors.New("devices revoked, then failed")
	errLogOutUnknown = errors.New("logout outcome unknown")
)

// unavailableAfter wraps err in done if its cause is an unavailable store.
func unavailableAfter(done, err error) error {
	for _, cause := range []error{session.ErrUnavailable, fault.ErrUnavailable, session.ErrNotRecorded} {
		if errors.Is(err, cause) {
			return fmt.Errorf("%w: %w", done, err)
		}
	}
	return err
}

// named is the one table from errors to what users see of them.
func named() []struct {
	err error
	failure
} {
	away := func(heading, message string) failure {
		return failure{status: http.StatusServiceUnavailable, heading: heading, message: message, again: true}
	}
	sessions := away("We can’t look up sessions right now",
		"If you were logged in, you still are. Try again in a moment.")
	database := away("We can’t reach the database right now",
		"Nothing was changed. Try again in a moment.")
	busy := away("Too many people are logging in at once",
		"Nothing was changed. Try again in a moment.")
	restarting := away("The server is restarting",
		"Your request did not get through, so nothing was changed. Try again in a moment.")
	ended := failure{status: http.StatusConflict, heading: "Your session has ended", login: true,
		message: "It ended before your request was done, so nothing was saved. Log in and try again."}
	full := failure{status: http.StatusConflict, heading: "This session is full",
		message: "Another request filled it at the same time, so nothing was saved. Remove a value, then try again."}
	forged := failure{status: http.StatusForbidden, heading: "That request came from another site",
		message: "We refused it, and nothing was changed. Open the page on this site and try again."}
	strange := failure{status: http.StatusMisdirectedRequest, heading: "This page is not available at this address",
		message: "To keep other sites out, it opens only at the server’s own address. Nothing was changed."}
	outcomeUnknown := away("We don’t know if that worked",
		"Your change may have been saved. Check before you try again.")
	notReady := away("This server is not ready",
		"A store it needs is not responding. Try again in a moment.")
	other := func(message string) failure {
		return failure{status: http.StatusConflict, heading: "Nothing was changed", message: message}
	}
	return []struct {
		err error
		failure
	}{
		{errAccountMade, away("Your account has been created",
			"But we couldn’t log you in. Wait a moment, then log in or send the same form again.")},
		{errMailAsked, away("An email is on its way",
			"We just can’t show the next page right now. Nothing else changes until you open the link in the email.")},
		{errDeleted, away("Your account has been deleted",
			"You are logged out everywhere, or will be in a moment.")},
		{errPasswordSet, away("Your password has been changed",
			"Your other devices are logged out, or will be in a moment. If asked, log in with your new password.")},
		{errNotLoggedIn, away("We couldn’t log you in",
			"Try again in a moment.")},
		{errNameChanged, away("Your name has been changed",
			"Some of your devices may still show the old name. Save it again in a moment.")},
		{errDevicesEnded, away("Some devices were logged out",
			"We can’t tell right now if all of them were. Check the list in a moment.")},
		{errLogOutUnknown, away("We don’t know if you are logged out",
			"You may be. To be sure, log out again in a moment.")},
		{session.ErrNotRecorded, away("We couldn’t record that",
			"The session ended, but we couldn’t save a record of it. Do the same again in a moment.")},
		{fault.ErrOutcomeUnknown, outcomeUnknown},
		{session.ErrUnavailable, sessions},
		{session.ErrEnded, ended},
		{session.ErrFlashTaken, unexpected()},
		{session.ErrFull, full},
		{fault.ErrUnavailable, database},
		{fault.ErrNotFound, byStatus(http.StatusNotFound)},
		{session.ErrNoDevice, byStatus(http.StatusNotFound)},
		{account.ErrBusy, busy},
		{errCSRF, forged},
		{errOtherAccount, other("You are now logged in as " + memberMark + ". This page belonged to another account.")},
		{errGuestLeft, other("You are now logged in as " + memberMark + ". This page is from before you logged in.")},
		{errAccountLeft, other("You are no longer logged in. This page belonged to an account.")},
		{errNoAccount, other("The form does not say which account it belongs to. Open its page again, and send it from there.")},
		{errStrangeHost, strange},
		{httpserver.ErrRestarting, restarting},
		{errNotReady, notReady},
		{form.ErrTooLarge, byStatus(http.StatusRequestEntityTooLarge)},
		{form.ErrContentType, byStatus(http.StatusUnsupportedMediaType)},
		{form.ErrMalformed, byStatus(http.StatusBadRequest)},
	}
}

// byStatus is for the errors that Echo and forms know by their status.
func byStatus(status int) failure {
	for _, known := range []failure{
		{status: http.StatusBadRequest, heading: "We couldn’t understand that request", message: "Nothing was changed. Go back and try again."},
		{status: http.StatusNotFound, heading: "Page not found", message: "Check the address for typing mistakes. The page may have moved."},
		{status: http.StatusMethodNotAllowed, heading: "You can’t do that here", message: "This address does not accept that kind of request."},
		{status: http.StatusRequestEntityTooLarge, heading: "That form is too large", message: "It is larger than this site accepts. Nothing was saved."},
		{status: http.StatusUnsupportedMediaType, heading: "We can’t read that kind of data", message: "Send an ordinary HTML form. Nothing was saved."},
	} {
		if known.status == status {
			return known
		}
	}
	return unexpected()
}

// failureOf returns what users see of err.
func (s *Site) failureOf(err error) failure {
	for _, row := range named() {
		if errors.Is(err, row.err) {
			return row.failure
		}
	}
	for _, e := range s.Extensions {
		for _, known := range e.Errors {
			if errors.Is(err, known.Err) {
				return known.failure()
			}
		}
	}
	var known *echo.HTTPError
	if errors.As(err, &known) {
		return byStatus(known.Code)
	}
	return unexpected()
}

// retryAfter is when a client should try again, in seconds.
const retryAfter = "5"

// The marks in a rendered error page, replaced by the words of the request.
const (
	statusMark    = "status-goes-here"
	headingMark   = "heading-goes-here"
	messageMark   = "message-goes-here"
	requestIDMark = "request-id-goes-here"
	memberMark    = "member-goes-here" // also in the messages of named
	accountMark   = "account-goes-here"
	onURLMark     = "/address-goes-here"
	onTextMark    = "text-goes-here"
)

// known says what an error page knows about the sender.
type known int

const (
	unknown     known = iota // no session was looked up, or the store is unavailable
	knownGuest               // not logged in
	knownMember              // logged in; the page has the name
)

// errorForm is an error page without the words of a failure and a request.
type errorForm struct {
	who  known
	on   bool // has the main button
	back bool // has the link to the home page
}

// renderErrorPages renders the error pages when the program starts, so that
// showing one needs no session, no database and no working template.
func (s *Site) renderErrorPages() (map[errorForm][]byte, error) {
	pages := map[errorForm][]byte{}
	for _, who := range []known{unknown, knownGuest, knownMember} {
		for _, form := range []errorForm{{who, true, false}, {who, false, true}, {who, true, true}} {
			l := s.frame
			l.Title, l.Neutral = title(headingMark), who == unknown
			if who == knownMember {
				l.Member, l.Account = memberMark, accountMark
			}
			p := errorPage{Status: statusMark, Heading: headingMark, Message: messageMark, RequestID: requestIDMark, Back: form.back}
			if form.on {
				p.OnURL, p.OnText = onURLMark, onTextMark
			}
			var page bytes.Buffer
			if err := s.views.Render(&page, "error", view.Data{Layout: l, Page: p}); err != nil {
				return nil, err
			}
			pages[form] = page.Bytes()
		}
	}
	return pages, nil
}

// fail answers a request that ended in err. It is Echo's HTTPErrorHandler, the
// only function that turns errors into responses.
func (s *Site) fail(err error, c echo.Context) {
	c.Set(causeKey, err)
	if c.Response().Committed {
		return
	}
	if errors.Is(err, context.Canceled) && c.Request().Context().Err() != nil {
		err = errors.Join(err, echo.NewHTTPError(http.StatusBadRequest)) // the client has gone
	}
	f := s.failureOf(err)
	r, h := c.Request(), c.Response().Header()
	h.Set("Cache-Control", "no-store")
	if f.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
	id, _ := c.Get(requestIDKey).(string)
	if why := (*unready)(nil); errors.As(err, &why) {
		_ = c.String(f.status, "not ready\n"+strings.Join(why.reasons, "\n")+"\n")
		return
	}
	if wantsJSON(r) {
		found, _ := c.Get(senderKey).(session.Member)
		words := strings.ReplaceAll(f.heading+". "+f.message, memberMark, found.Name)
		_ = c.JSON(f.status, map[string]string{"error": words, "request_id": id})
		return
	}
	if f.status == http.StatusMethodNotAllowed && safe(r) {
		// The user reloaded the address that a form was sent to, or went back there.
		_ = c.Redirect(http.StatusSeeOther, s.formPage(r.URL.Path))
		return
	}
	if f.status == http.StatusServiceUnavailable && safe(r) {
		h.Set("Refresh", retryAfter)
	}
	onURL, onText := s.wayOn(f, c)
	who, member := s.whoAsks(c, err)
	page := s.errorPages[errorForm{who, onURL != "", onURL != "/"}]
	_ = c.HTMLBlob(f.status, fillIn(page, map[string]string{
		statusMark: strconv.Itoa(f.status), headingMark: f.heading, messageMark: strings.ReplaceAll(f.message, memberMark, member.Name),
		requestIDMark: id, memberMark: member.Name, accountMark: formValue(member), onURLMark: onURL, onTextMark: onText,
	}))
}

// fillIn replaces the marks with words. Words that look like a mark are not
// replaced again.
func fillIn(page []byte, words map[string]string) []byte {
	var pairs []string
	for mark, word := range words {
		pairs = append(pairs, mark, template.HTMLEscapeString(word))
	}
	return []byte(strings.NewReplacer(pairs...).Replace(string(page)))
}

// wayOn returns the URL and the text of an error page's main button.
func (s *Site) wayOn(f failure, c echo.Context) (url, text string) {
	r := c.Request()
	switch {
	case f.login:
		return loginURL(s.formPage(r.URL.Path)), "Log in"
	case !safe(r) && f.status != http.StatusNotFound && f.status != http.StatusMethodNotAllowed:
		if mailedLink(r.URL.Path) {
			return linkPage(c, f.status != http.StatusForbidden), "Back to the form"
		}
		return s.formPage(r.URL.Path), "Back to the form"
	case !f.again:
		return "", ""
	}
	again := r.URL.RequestURI()
	if !strings.HasPrefix(again, "/") || strings.HasPrefix(again, "//") || strings.Contains(again, "\\") {
		again = "/" // browsers take the other forms for another host
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

// whoAsks returns what is known about the sender of a failed request. If no
// session was loaded because the page does not exist, whoAsks loads it. The
// request has failed already, so an unavailable store makes it no worse.
func (s *Site) whoAsks(c echo.Context, err error) (who known, member session.Member) {
	if errors.Is(err, session.ErrUnavailable) {
		return unknown, session.Member{}
	}
	if errors.Is(err, session.ErrEnded) {
		return knownGuest, session.Member{}
	}
	member, found := c.Get(senderKey).(session.Member)
	if !found && s.failureOf(err).status == http.StatusNotFound && safe(c.Request()) && !strings.HasPrefix(c.Request().URL.Path, assetPrefix) {
		loaded, err := s.Sessions.Load(c.Request().Context(), s.token(c))
		if err != nil {
			return unknown, session.Member{}
		}
		member, _ = loaded.Member()
		found = true
	}
	switch {
	case !found:
		return unknown, session.Member{}
	case member.ID == "":
		return knownGuest, session.Member{}
	default:
		return knownMember, member
	}
}

// wantsJSON reports whether the client asked for JSON rather than a page.
func wantsJSON(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}
