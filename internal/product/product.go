// Package product owns what this program is called, and the names by which
// other programs tell it from its neighbours: keys in Redis, cookies, files,
// metrics. docs/make-it-yours.md says how to change it.
package product

const (
	// Name is what people read: letters, digits, spaces, dots and dashes.
	Name = "Holdfast"
	// Slug is the name of the program, of its files, metrics and keys:
	// lower-case ASCII letters and digits, a letter first.
	Slug = "holdfast"
	// EnvPrefix begins the names in the environment that are no settings.
	EnvPrefix = "HOLDFAST_"
	// SessionKeys begins the key of every session in Redis, and of nothing else.
	SessionKeys = Slug + ":session:"
	// Heartbeat is the key in Redis under which servers keep a beat.
	Heartbeat = Slug + ":beat"
	// CookiePrefix begins the name of every cookie. A browser sends a host's
	// cookies to all of its ports (RFC 6265, section 8.5), so two products on one
	// host need different ones. It is empty for the first of them.
	CookiePrefix = ""
	// SessionCookie is the session cookie's name on http, unless the setting
	// SESSION_COOKIE gives it another; on https __Host- comes before it.
	SessionCookie = CookiePrefix + "session"
	// PartingCookie carries one message past the end of a session.
	PartingCookie = CookiePrefix + "parting"
	// DeviceCookie carries the tokens by which accounts know a browser.
	DeviceCookie = CookiePrefix + "device"
)

// CookieName returns the name under which a cookie is sent. On https it has the
// __Host- prefix, with which a browser lets no other host set it (RFC 6265bis,
// section 4.1.3.2).
func CookieName(name string, https bool) string {
	if https {
		return "__Host-" + name
	}
	return name
}
