package web

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/form"
	"holdfast/internal/session"
)

// accountField is the hidden field in which a form carries the account that its
// page was shown for. The partial "account" renders it.
const accountField = "account"

// guestValue is accountField on a page that was shown to a guest. No account has
// this value: it is shorter than all of theirs.
const guestValue = "guest"

// formValue returns the value of accountField for the forms of a page that member
// sees; the zero Member is a guest. It depends on the account alone, so that logging
// in again as the same person, or giving the password again, leaves the forms in
// other tabs valid. It is no secret: who may send a form is for the session and for
// [Site.protect] to decide.
func formValue(member session.Member) string {
	if member.ID == "" {
		return guestValue
	}
	sum := sha256.Sum256([]byte("account of a form\x00" + member.ID))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// The reasons for which a form is refused because of accountField.
var (
	errOtherAccount = errors.New("form was shown for another account")
	errAccountLeft  = errors.New("form was shown for an account, and the sender is a guest")
	errGuestLeft    = errors.New("form was shown to a guest, and the sender is logged in")
	errNoAccount    = errors.New("form does not say which account it was shown for")
)

// sameAccount refuses a form that was shown for another account than the one that
// is logged in now: another tab of the same browser may have changed that. It
// takes accountField out of the form, so handlers do not see it. A form without
// the field passes only if no browser sent it.
//
// Forms that name their account themselves do not need it and do not carry the
// field, see [Site.routes].
func (s *Site) sameAccount(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if safe(r) {
			return next(c)
		}
		sent, err := form.Take(r, accountField)
		if err != nil {
			return err
		}
		member, _ := memberOf(c)
		now := formValue(member)
		switch {
		case sent == now:
		case sent == "" && !fromBrowser(r):
		case now == guestValue && r.URL.Path == "/logout":
			// The logout has reached its goal already.
		case sent == "":
			return errNoAccount
		case now == guestValue:
			return errAccountLeft
		case sent == guestValue:
			return errGuestLeft
		default:
			return errOtherAccount
		}
		return next(c)
	}
}

// fromBrowser reports whether a request that changes something was sent by a
// browser: all of them say where it comes from, in one of these headers.
func fromBrowser(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != ""
}

// typed returns a field of the form that is shown again, or of the query, in which
// whereTo has kept what was typed; "" if that was for another account than the one
// that is logged in now.
func typed(c echo.Context, field string) string {
	if sent := formOf(c); sent != nil {
		return sent[field]
	}
	member, _ := memberOf(c)
	if c.QueryParam(accountField) != formValue(member) {
		return ""
	}
	return c.QueryParam(field)
}
