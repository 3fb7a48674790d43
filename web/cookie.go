package web

import (
	"net/http"

	"holdfast/internal/product"
)

// findCookie returns the value of the first cookie with this name, and how many the
// request has.
func findCookie(r *http.Request, name string) (value string, count int) {
	cookies := r.CookiesNamed(name)
	if len(cookies) == 0 {
		return "", 0
	}
	return cookies[0].Value, len(cookies)
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
