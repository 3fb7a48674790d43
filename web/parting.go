package web

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"holdfast/internal/session"
)

// A parting word is a notice for someone who has just stopped being logged in.
// There is no session left to keep it, so a cookie carries which one it is,
// and never any text, to the next page.
const partingLoggedOut = "logged-out"

// partingEnded begins the code of a session that has ended; how follows.
const partingEnded = "ended"

func partingWords(code string) (words string, known bool) {
	if code == partingLoggedOut {
		return "You are logged out.", true
	}
	how, ended := strings.CutPrefix(code, partingEnded+".")
	if !ended {
		return "", false
	}
	return "Your session has ended" + becauseOf(session.EndReason(how)) + ". Log in to go on.", true
}

// becauseOf says how a session ended, as far as its owner can make use of it.
func becauseOf(how session.EndReason) string {
	switch how {
	case session.EndedByOwner:
		return ": it was logged out from another device"
	case session.EndedByOperator:
		return ": the operator of this site ended it"
	case session.EndedByLimit:
		return ": you have logged in on so many devices since that the oldest had to go"
	case session.EndedByIdleness:
		return ": it was not used for too long"
	case session.EndedByAge:
		return ": it had reached its greatest age"
	case session.EndedByTime:
		return ": it was not used for too long, or had reached its greatest age"
	default:
		return ""
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
		Name:     "parting",
		Value:    code,
		Path:     "/",
		MaxAge:   maxAgeSeconds,
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	}
	if s.BaseURL.Scheme == "https" {
		cookie.Name, cookie.Secure = "__Host-parting", true
	}
	return cookie
}
