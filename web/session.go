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
	Errors     form.Errors
	Curl       []string // command lines that do the same
}

type sessionValue struct{ Key, Value string }

// sessionJSON is GET /session for a client that asks for JSON. It has no token.
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
	if wantsJSON(c.Request()) {
		return c.JSON(http.StatusOK, describeSession(current(c)))
	}
	return s.sessionPage(c, http.StatusOK, sessionPage{})
}

// The forms of the page say in the field action what they are for. A program
// that leaves it out sets a value, or removes it by an empty one.
const (
	actionSet    = "set"
	actionRemove = "remove"
)

// submitSession sets one value of this session, or removes it. A guest's first
// value starts a session. A notice says what happened.
func (s *Site) submitSession(c echo.Context) error {
	sent, err := form.Parse(c.Request(), "key", "value", "action")
	if err != nil {
		return err
	}
	sess, key, value, action := current(c), sent["key"], sent["value"], sent["action"]
	s.tellEnded(c) // what is set here is set in a guest's session then
	if action == actionRemove || action == "" && value == "" && key != "" {
		_, stood := sess.Values()[key]
		sess.Remove(key)
		if stood && action != "" {
			sess.Flash(key + " has been removed.")
		}
		return c.Redirect(http.StatusSeeOther, "/session")
	}
	p := sessionPage{Key: key, Value: value}
	p.Errors = setValue(sess, key, value)
	if len(p.Errors) == 0 {
		if action != "" {
			sess.Flash(key + " has been set.")
		}
		return c.Redirect(http.StatusSeeOther, "/session")
	}
	if wantsJSON(c.Request()) {
		return c.JSON(http.StatusUnprocessableEntity, map[string]form.Errors{"errors": p.Errors})
	}
	return s.sessionPage(c, http.StatusUnprocessableEntity, p)
}

// setValue sets one value, or says why it cannot be set.
func setValue(sess *session.Session, key, value string) (wrong form.Errors) {
	switch {
	case key == "":
		wrong.Add("key", "Enter a key.")
		return wrong
	case value == "":
		wrong.Add("value", "Enter a value.")
		return wrong
	}
	err := sess.Set(key, value)
	switch {
	case errors.Is(err, session.ErrBadKey):
		wrong.Add("key", "Key must be 64 characters or fewer, on one line.")
	case errors.Is(err, session.ErrBadValue):
		wrong.Add("value", "Value must be 1,024 bytes or fewer, on one line.")
	case err != nil:
		wrong.Add("key", "This session is full. Remove a value first.")
	}
	return wrong
}

func (s *Site) sessionPage(c echo.Context, status int, p sessionPage) error {
	values := current(c).Values()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		p.Values = append(p.Values, sessionValue{key, values[key]})
	}
	at := s.BaseURL.JoinPath("session").String()
	p.Curl = []string{
		"curl -c jar -b jar -d key=colour -d value=green " + at,
		"curl -c jar -b jar -H 'Accept: application/json' " + at,
		"curl -c jar -b jar -d key=colour -d value= " + at,
	}
	return s.Render(c, status, "session", "Session", p)
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
