package web

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"holdfast/internal/form"
)

// maxNextBytes is the longest address that a login redirects to.
const maxNextBytes = 2048

// loginURL is the address of the login page that redirects to next, if that is
// a page of this site, after the login.
func loginURL(next string) string {
	return "/login?next=" + url.QueryEscape(next)
}

// localPath returns next if it is the path, with or without a query, of a page of
// this site that GET shows, and otherwise "" (ASVS 5.0 3.7.2). It compares next
// with the list of such pages instead of looking for the ways in which another
// host can be written.
func (s *Site) localPath(next string) string {
	if len(next) > maxNextBytes || !strings.HasPrefix(next, "/") || strings.ContainsAny(next, "\\\t\r\n") {
		return ""
	}
	path, query, asked := strings.Cut(next, "?")
	if !s.getPaths[path] {
		return ""
	}
	if !asked {
		return path
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return ""
	}
	return path + "?" + values.Encode()
}

// carried are the fields of members' forms that go along, by the path the form
// is sent to, when the sender has to log in first: nothing secret, and nothing
// that takes effect when the page is shown. The page of the form reads them.
func carried(path string) []string {
	switch path {
	case "/account/name":
		return []string{"name"}
	case "/account/email":
		return []string{"email"}
	default:
		return nil
	}
}

// whereTo is what a request for members was for: the page itself, or the page of
// the form that was sent, with what was typed where it can come along.
func (s *Site) whereTo(c echo.Context) string {
	r := c.Request()
	if safe(r) {
		return r.URL.RequestURI()
	}
	page := s.formPage(r.URL.Path)
	fields := carried(r.URL.Path)
	if fields == nil {
		return page
	}
	// What was typed is for the account of the form, see typed. A member's
	// form has been compared with the session already.
	member, ok := memberOf(c)
	whose := formValue(member)
	if !ok {
		var err error
		if whose, err = form.Take(r, accountField); err != nil || whose == "" {
			return page
		}
	}
	sent, err := form.Parse(r, fields...)
	if err != nil {
		return page
	}
	typed := url.Values{accountField: {whose}}
	for name, value := range sent {
		typed.Set(name, value)
	}
	if full := page + "?" + typed.Encode(); len(full) <= maxNextBytes {
		return full
	}
	return page
}

// nextOf returns the page that a form of the login leads to: that of the form, where
// it is shown again, or else of the query.
func (s *Site) nextOf(c echo.Context) string {
	if sent := formOf(c); sent != nil {
		return s.localPath(sent["next"])
	}
	return s.localPath(c.QueryParam("next"))
}

// afterLogin is where a login redirects to.
func (s *Site) afterLogin(next string) string {
	return cmp.Or(s.localPath(next), "/profile")
}
