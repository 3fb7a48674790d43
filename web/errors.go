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

// errorPage is what every failed request shows.
type errorPage struct {
	Status           string
	Heading, Message string
	RequestID        string
	OnURL, OnText    string // the way on; "" where there is none but back
	Back             bool   // whether there is a way back to the home page as well
}

// failure is how one kind of error looks from outside: fixed words, never the
// cause.
type failure struct {
	status           int
	heading, message string
	again            bool // the same may go well in a moment
	login            bool // logging in is the way on
}

// unexpected is every error without a name.
func unexpected() failure {
	return failure{status: http.StatusInternalServerError, heading: "Something went wrong here", again: true,
		message: "That was our fault, and nothing was changed. Please try again; if it happens again, tell us the number below."}
}

// What failed after the request had changed something, which its answer has to
// tell. Handlers put these in front of the cause.
var (
	errNotLoggedIn   = errors.New("log-in not stored")
	errAccountMade   = errors.New("account made, log-in not stored")
	errMailAsked     = errors.New("mail asked for, session not stored")
	errDeleted       = errors.New("account deleted, session not ended in the store")
	errPasswordSet   = errors.New("password changed, log-in not stored")
	errNameChanged   = errors.New("name changed, not in every session")
	errDevicesEnded  = errors.New("devices ended, and then a failure")
	errLogOutUnknown = errors.New("log-out of unknown outcome")
)

// unavailableAfter puts done in front of an error that came because a store was
// out of reach.
func unavailableAfter(done, err error) error {
	for _, cause := range []error{session.ErrUnavailable, fault.ErrUnavailable, session.ErrNotNoted} {
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
	away := func(heading, message string) failure {
		return failure{status: http.StatusServiceUnavailable, heading: heading, message: message, again: true}
	}
	sessions := away("Sessions cannot be reached just now",
		"If you were logged in, you still are. Try again in a moment.")
	database := away("What is stored here cannot be reached just now",
		"Nothing was changed. Try again in a moment.")
	busy := away("Too many people are logging in at once",
		"Nothing was changed. Try again in a moment.")
	restarting := away("The server is restarting",
		"What you sent had not arrived whole, so nothing was changed. Try again in a moment.")
	ended := failure{status: http.StatusConflict, heading: "This session has ended", login: true,
		message: "It ended while your request was on its way, so nothing was stored. Log in and try again."}
	full := failure{status: http.StatusConflict, heading: "This session holds as many values as fit",
		message: "Other requests were filling it at the same time, so nothing of this one was stored. Remove a value first."}
	forged := failure{status: http.StatusForbidden, heading: "That request came from another site",
		message: "It was refused, and nothing was changed. Open the page here and try again."}
	strange := failure{status: http.StatusMisdirectedRequest, heading: "These pages are not at this address",
		message: "The pages for learning answer at the server’s own address only, so that no other site can use them. Nothing was changed."}
	outcomeUnknown := away("It is not known whether that was done",
		"It may have been stored. Look before you try again.")
	notReady := away("This instance is not ready",
		"A store that it needs does not answer. Try again in a moment.")
	other := func(message string) failure {
		return failure{status: http.StatusConflict, heading: "Nothing was changed", message: message}
	}
	return []struct {
		err error
		failure
	}{
		{errAccountMade, away("Your account has been created",
			"But you could not be logged in just now. Log in in a moment, or send the same form again.")},
		{errMailAsked, away("A mail is on its way",
			"Only the page after that cannot be shown just now. Nothing else changes before you open the link in the mail.")},
		{errDeleted, away("Your account has been deleted",
			"Its sessions have ended, or will in a moment.")},
		{errPasswordSet, away("Your password has been changed",
			"Your other sessions have ended, or will in a moment. If you are asked to, log in with the new password.")},
		{errNotLoggedIn, away("Logging in did not work just now",
			"Nobody was logged in. Try again in a moment.")},
		{errNameChanged, away("Your name has been changed",
			"Some of your sessions could not be told just now and may still greet you by the old one. Save it again in a moment.")},
		{errDevicesEnded, away("Devices were logged out",
			"Whether all of them were cannot be shown just now. Look at the list in a moment.")},
		{errLogOutUnknown, away("It is not known whether you are logged out",
			"You may be. Log out once more in a moment.")},
		{session.ErrNotNoted, away("That could not be noted just now",
			"The session has ended, but no note of it could be kept. Do the same once more in a moment.")},
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
		{errAccountLeft, other("You are not logged in any more. This page belonged to an account.")},
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
		{status: http.StatusBadRequest, heading: "That request cannot be understood", message: "Nothing was changed. Go back to the page and try again."},
		{status: http.StatusNotFound, heading: "There is no such page", message: "Check the address for typing mistakes; the page may also have moved."},
		{status: http.StatusMethodNotAllowed, heading: "That cannot be done here", message: "This address does not take that kind of request."},
		{status: http.StatusRequestEntityTooLarge, heading: "That is too much at once", message: "The form is larger than this site takes. Nothing was stored."},
		{status: http.StatusUnsupportedMediaType, heading: "That kind of data is not taken here", message: "Send an ordinary form. Nothing was stored."},
	} {
		if known.status == status {
			return known
		}
	}
	return unexpected()
}

// failureOf finds what a person is told about err.
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

// retryAfter tells a client to come back, in seconds.
const retryAfter = "5"

// The marks stand in a rendered error page where the request's own words go.
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

// known is what an error page knows of who is asking.
type known int

const (
	unknown     known = iota // no session was looked for, or the store is away
	knownGuest               // nobody
	knownMember              // somebody, whose name the page has
)

// errorForm is an error page without the words of a failure and a request.
type errorForm struct {
	who  known
	on   bool // there is a way on
	back bool // there is a way back as well
}

// renderErrorPages makes the error pages when the program starts, so that showing
// one needs neither session nor database nor a template that works.
func (s *Site) renderErrorPages() (map[errorForm][]byte, error) {
	pages := map[errorForm][]byte{}
	for _, who := range []known{unknown, knownGuest, knownMember} {
		for _, form := range []errorForm{{who, true, false}, {who, false, true}, {who, true, true}} {
			l := s.layout("")
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
// only place that turns errors into answers.
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
		// Somebody reloads what a form was sent to, or went back there.
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

// fillIn puts words in the place of marks, none of which comes about by
// putting in the others.
func fillIn(page []byte, words map[string]string) []byte {
	var pairs []string
	for mark, word := range words {
		pairs = append(pairs, mark, template.HTMLEscapeString(word))
	}
	return []byte(strings.NewReplacer(pairs...).Replace(string(page)))
}

// wayOn is where the button of an error page leads, and its words.
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
		again = "/" // to a browser the others lead to another host
	}
	return again, "Try again"
}

// formPage is the page that has the form which is sent to path: the page of
// that path, or the next one above it.
func (s *Site) formPage(path string) string {
	for path != "/" && path != "." && !s.getPaths[path] {
		path = stdpath.Dir(path)
	}
	if path == "." {
		return "/"
	}
	return path
}

// whoAsks is what can be said of the sender of a request that failed. Where the
// way to the handler has not led past a session, because there is no such page,
// it is looked for here; the request has failed already, so a store that does
// not answer makes it no worse.
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
