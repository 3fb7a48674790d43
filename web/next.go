package web

import (
	"net/url"
	"strings"
)

// maxNextBytes bounds the address a person is sent back to after log-in.
const maxNextBytes = 512

// loginURL is the log-in page that leads back to next, where that is a page
// of this site.
func loginURL(next string) string {
	return "/login?next=" + url.QueryEscape(next)
}

// localPath returns next when it is the path, and perhaps the query, of a page
// of this site that a GET shows, and otherwise "" (ASVS 5.0 3.7.2). It holds
// next to the list of such pages, so that no way of writing another host, or
// of making something happen, needs to be known.
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

// afterLogin is where a person goes who has just logged in.
func (s *Site) afterLogin(next string) string {
	if path := s.localPath(next); path != "" {
		return path
	}
	return "/profile"
}
