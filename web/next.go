package web

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"holdfast/internal/form"
)

// maxNextBytes is the longest URL that a login redirects to.
const maxNextBytes = 2048

// loginURL returns the URL of the login page that redirects to next after the login, if
// next is a page of this site.
func loginURL(next string) string {
	return "/login?next=" + url.QueryEscape(next)
}

// localPath returns next if it is the path, with or without a query, of a page that
// this site serves for GET, and "" otherwise (ASVS 5.0 3.7.2). It compares next with
// the list of such pages instead of detecting the many spellings of another host.
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

// carried are the form fields that are kept, by the path of a members' form, if the
// sender has to log in first: nothing secret, and nothing that takes effect when the
// page is shown. The form's page reads them.
var carried = map[string][]string{"/account/name": {"name"}, "/account/email": {"email"}}

// whereTo returns the page that a request for members was for: the page itself, or the
// page of the submitted form, with what was typed if it can be kept.
func (s *Site) whereTo(c echo.Context) string {
	r := c.Request()
	if safe(r) {
		return r.URL.RequestURI()
	}
	page := s.formPage(r.URL.Path)
	fields := carried[r.URL.Path]
	if fields == nil {
		return page
	}
	// What was typed belongs to the form's account: see typed. A member's form has
	// already been compared with the session.
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

// nextOf returns the page that a login form redirects to: from the form if it is shown
// again, or else from the query.
func (s *Site) nextOf(c echo.Context) string {
	if sent := formOf(c); sent != nil {
		return s.localPath(sent["next"])
	}
	return s.localPath(c.QueryParam("next"))
}

// afterLogin returns where a login redirects to.
func (s *Site) afterLogin(next string) string {
	return cmp.Or(s.localPath(next), "/profile")
}
