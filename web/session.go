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

// submitSession sets one value of this session, or removes it when the value
// is empty. A guest's first value starts a session.
func (s *Site) submitSession(c echo.Context) error {
	sent, err := form.Parse(c.Request(), "key", "value")
	if err != nil {
		return err
	}
	if sent["value"] == "" && sent["key"] != "" {
		current(c).Remove(sent["key"])
		return c.Redirect(http.StatusSeeOther, "/session")
	}
	p := sessionPage{Key: sent["key"], Value: sent["value"]}
	switch err := current(c).Set(sent["key"], sent["value"]); {
	case err == nil:
		return c.Redirect(http.StatusSeeOther, "/session")
	case errors.Is(err, session.ErrBadKey):
		p.Errors.Add("key", "Give the value a name of 1 to 64 letters.")
	case errors.Is(err, session.ErrBadValue):
		p.Errors.Add("value", "Keep the value under 1,024 bytes, on one line.")
	default:
		p.Errors.Add("key", "This session holds as many values as fit. Remove one first.")
	}
	if wantsJSON(c.Request()) {
		return c.JSON(http.StatusUnprocessableEntity, map[string]form.Errors{"errors": p.Errors})
	}
	return s.sessionPage(c, http.StatusUnprocessableEntity, p)
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
	return s.page(c, status, "session", "Session", p)
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
		created, ends := sess.CreatedAt(), sess.ExpiresAt()
		described.Created, described.Ends = &created, &ends
	}
	return described
}
