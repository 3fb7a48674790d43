package config

import (
	"fmt"
	"io"
	"strings"
)

// SecretURL is a URL that may contain a password. However it is printed, logged or
// encoded, anything that may be secret is hidden.
type SecretURL string

// Reveal returns the URL with its secrets, for connecting to it.
func (u SecretURL) Reveal() string { return string(u) }

// String returns the URL without user, password and query.
func (u SecretURL) String() string { return mask(string(u)) }

// Format prints String whatever the verb.
func (u SecretURL) Format(f fmt.State, _ rune) { io.WriteString(f, u.String()) }

// MarshalText returns String, for JSON and logs.
func (u SecretURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// mask must hide the password of a URL that is malformed in any way, including a
// password with an unescaped @ : / ? or #. So it removes everything up to the last @.
// Without an @, it removes everything that could be the password of a URL whose @ was
// forgotten.
func mask(raw string) string {
	if raw == "" {
		return ""
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return "***"
	}
	hidden := ""
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		hidden, rest = "***@", rest[at+1:]
	}
	query := ""
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest, query = rest[:i], rest[i:i+1]+"***"
	}
	if authority, _, _ := strings.Cut(rest, "/"); hidden == "" && !plainHost(authority) {
		return scheme + "://***"
	}
	return scheme + "://" + hidden + rest + query
}

// plainHost reports whether s is one host or several, each with an optional port.
func plainHost(s string) bool {
	for one := range strings.SplitSeq(s, ",") {
		if checkHostPort(one) != nil && checkHost(strings.Trim(one, "[]")) != nil && one != "" {
			return false
		}
	}
	return true
}
