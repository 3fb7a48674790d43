package web

import (
	"net/http"
	"net/textproto"
	"strings"

	"holdfast/internal/product"
)

// maxCookies is how many cookies a request may have. If it has more, none is read, as
// in net/http.
const maxCookies = 3000

// findCookie returns the value of the first cookie with this name, and how many the
// request has. It finds the same cookies as [http.Request.CookiesNamed], without
// allocating each one. name must be a valid cookie name.
func findCookie(h http.Header, name string) (value string, count int) {
	lines := h["Cookie"]
	cookies := 0
	for _, line := range lines {
		cookies += strings.Count(line, ";") + 1
	}
	if cookies > maxCookies {
		return "", 0
	}
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ";") {
			key, text, _ := strings.Cut(textproto.TrimString(part), "=")
			if textproto.TrimString(key) != name {
				continue
			}
			if len(text) > 1 && text[0] == '"' && text[len(text)-1] == '"' {
				text = text[1 : len(text)-1]
			}
			// RFC 6265, section 4.1.1 forbids these characters. It also forbids space
			// and comma, but browsers send those.
			if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == ';' || r == '\\' }) {
				continue
			}
			if count == 0 {
				value = text
			}
			count++
		}
	}
	return value, count
}

// cookie returns a cookie of this site other than the session cookie. It is sent for
// every page and hidden from scripts.
func (s *Site) cookie(name, value string, maxAgeSeconds int) *http.Cookie {
	return &http.Cookie{
		Name:     s.cookieName(name),
		Value:    value,
		Path:     "/",
		MaxAge:   maxAgeSeconds,
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
		Secure:   s.BaseURL.Scheme == "https",
	}
}

func (s *Site) cookieName(name string) string {
	return product.CookieName(name, s.BaseURL.Scheme == "https")
}
