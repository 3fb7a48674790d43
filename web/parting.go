package web

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// A parting word is a notice for someone who has just stopped being logged in.
// There is no session left to keep it, so a cookie carries which one it is,
// and never any text, to the next page.
const (
	partingLoggedOut    = "logged-out"
	partingSignedUp     = "signed-up"
	partingResetAsked   = "reset-asked"
	partingReset        = "reset"
	partingConfirmed    = "confirmed"
	partingEmailChanged = "email-changed"
	partingUndone       = "undone"
	partingDeleted      = "deleted"
)

func (s *Site) partingWords(code string) (words string, known bool) {
	switch code {
	case partingLoggedOut:
		return "You are logged out.", true
	case partingSignedUp:
		return "A mail is on its way to that address. If the address is new here, your account is ready: log in.", true
	case partingResetAsked:
		return "If that address has an account, a mail with a link is on its way to it. The link is good for one hour." + s.whereMailIs(), true
	case partingReset:
		return "Your new password is set, and all sessions have ended. Log in with it.", true
	case partingConfirmed:
		return "Your e-mail address is confirmed.", true
	case partingEmailChanged:
		return "You log in with the new e-mail address from now on.", true
	case partingUndone:
		return "The account belongs to that address again, and all sessions have ended. Now ask for a new password.", true
	case partingDeleted:
		return "Your account is deleted, and all its sessions have ended.", true
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
	words, known := s.partingWords(cookie.Value)
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
