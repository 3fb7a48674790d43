package web

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/form"
	"holdfast/internal/session"
)

type sessionPage struct {
	Values     []sessionValue
	Key, Value string
	URL        string // of this page, for commands that do the same
	problems
}

type sessionValue struct{ Key, Value string }

// sessionJSON is the response to GET /session for a client that asks for JSON. It does
// not contain the token.
type sessionJSON struct {
	Member  *memberJSON       `json:"member"`  // null for a guest
	Stored  bool              `json:"stored"`  // whether the store holds this session
	Created *time.Time        `json:"created"` // null while nothing is stored
	Ends    *time.Time        `json:"ends"`    // at the latest
	Values  map[string]string `json:"values"`
}

type memberJSON struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (s *Site) showSession(c echo.Context) error {
	wrong, sent, values := problemsOf(c), formOf(c), current(c).Values()
	if wantsJSON(c.Request()) {
		if wrong.Failed != "" {
			return c.JSON(wrong.status(), map[string]string{"error": wrong.Failed})
		}
		if wrong.Errors != nil {
			return c.JSON(wrong.status(), map[string]form.Errors{"errors": wrong.Errors})
		}
		return c.JSON(http.StatusOK, describeSession(current(c)))
	}
	p := sessionPage{Key: sent["key"], Value: sent["value"], URL: s.BaseURL.JoinPath("session").String(), problems: wrong}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		p.Values = append(p.Values, sessionValue{key, values[key]})
	}
	return s.Render(c, wrong.status(), "session", "Session", p)
}

// Values of the form field action. A program may omit it: a value is then set, or
// removed if it is empty.
const (
	actionSet    = "set"
	actionRemove = "remove"
)

// submitSession sets one value of this session, or removes it. A guest's first
// value starts a session. A notice says what happened.
func (s *Site) submitSession(c echo.Context) error {
	sess, sent := current(c), formOf(c)
	key, value, action := sent["key"], sent["value"], sent["action"]
	s.setFlashCookie(c, s.endedNotice(c)) // the value below then goes into a guest's session
	if action == actionRemove || action == "" && value == "" && key != "" {
		_, stood := sess.Values()[key]
		sess.Remove(key)
		if stood && action != "" {
			sess.Flash(key + " has been removed.")
		}
		return c.Redirect(http.StatusSeeOther, "/session")
	}
	if err := setValue(sess, key, value); err != nil {
		return err
	}
	if action != "" {
		sess.Flash(key + " has been set.")
	}
	// Commit here, so that a guest who has stored too much gets the form again.
	if err := s.commit(c); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/session")
}

// setValue sets one value, or returns what is wrong with it as [form.Errors].
func setValue(sess *session.Session, key, value string) error {
	var missing form.Errors
	missing.Require(key, "key", "Enter a key.")
	missing.Require(value, "value", "Enter a value.")
	if err := missing.Err(); err != nil {
		return err
	}
	wrong := func(field, message string) error { return form.Errors{{Field: field, Message: message}} }
	switch err := sess.Set(key, value); {
	case errors.Is(err, session.ErrBadKey):
		return wrong("key", "Key must be 64 characters or fewer, on one line.")
	case errors.Is(err, session.ErrBadValue):
		return wrong("value", "Value must be 1,024 bytes or fewer, on one line.")
	case err != nil:
		return wrong("key", "This session is full. Remove a value first.")
	}
	return nil
}

func describeSession(sess *session.Session) sessionJSON {
	described := sessionJSON{Stored: sess.Stored(), Values: sess.Values()}
	if described.Values == nil {
		described.Values = map[string]string{}
	}
	if member, ok := sess.Member(); ok {
		described.Member = &memberJSON{member.ID, member.Name}
	}
	if sess.Stored() {
		created, ends := sess.Times().Created, sess.Times().Expires
		described.Created, described.Ends = &created, &ends
	}
	return described
}
