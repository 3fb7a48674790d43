package web

import (
	"net/url"
	"strings"
)

// maxNextBytes is the longest address that a log-in redirects to.
const maxNextBytes = 512

// loginURL is the address of the log-in page that redirects to next, if that is
// a page of this site, after the log-in.
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

// afterLogin is where a log-in redirects to.
func (s *Site) afterLogin(next string) string {
	if path := s.localPath(next); path != "" {
		return path
	}
	return "/profile"
}
