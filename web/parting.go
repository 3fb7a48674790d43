package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/product"
)

// A parting word is a notice for someone who has just stopped being logged in.
// There is no session left to keep it, so a cookie carries which one it is,
// and never any text, to the next page.
const partingLoggedOut = "logged-out"

func partingWords(code string) (words string, known bool) {
	switch code {
	case partingLoggedOut:
		return "You are logged out.", true
	default:
		return "", false
	}
}

// part leaves a parting word for the next page.
func (s *Site) part(c echo.Context, code string) {
	c.SetCookie(s.partingCookie(code, 60))
}

// takeParting returns the parting word that came with the request and has the
// browser forget it.
func (s *Site) takeParting(c echo.Context) []string {
	cookie, err := c.Cookie(s.partingCookie("", 0).Name)
	if err != nil {
		return nil
	}
	c.SetCookie(s.partingCookie("", -1))
	words, known := partingWords(cookie.Value)
	if !known {
		return nil
	}
	return []string{words}
}

func (s *Site) partingCookie(code string, maxAgeSeconds int) *http.Cookie {
	cookie := &http.Cookie{
		Name:     product.PartingCookie,
		Value:    code,
		Path:     "/",
		MaxAge:   maxAgeSeconds,
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	}
	if s.BaseURL.Scheme == "https" {
		cookie.Name, cookie.Secure = "__Host-"+product.PartingCookie, true
	}
	return cookie
}
