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

// accountField is the hidden form field with the account that the page was shown for.
// The partial "account" renders it.
const accountField = "account"

// guestValue is the value of accountField on a page shown to a guest. It is no
// account's value: all of those are longer.
const guestValue = "guest"

// formValue returns the value of accountField for the forms of a page that member sees;
// the zero Member is a guest. It depends only on the account, so forms in other tabs
// stay valid if the same person logs in again or enters their password again. It is not
// a secret: the session and [Site.protect] decide who may send a form.
func formValue(member session.Member) string {
	if member.ID == "" {
		return guestValue
	}
	sum := sha256.Sum256([]byte("account of a form\x00" + member.ID))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// Reasons to refuse a form because of accountField.
var (
	errOtherAccount = errors.New("form was shown for another account")
	errAccountLeft  = errors.New("form was shown for an account, and the sender is a guest")
	errGuestLeft    = errors.New("form was shown to a guest, and the sender is logged in")
	errNoAccount    = errors.New("form does not say which account it was shown for")
)

// sameAccount refuses a form shown for an account other than the one now logged in:
// another tab of the same browser may have logged in or out. It removes accountField
// from the form, so handlers do not see it. A form without the field passes only if no
// browser sent it.
//
// Forms that name their account themselves need no check and do not carry the field:
// see [Site.routes].
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
			// The user is already logged out.
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

// fromBrowser reports whether a browser sent a request that changes something. All
// browsers send its origin in at least one of these headers.
func fromBrowser(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != ""
}

// typed returns a field of the form that is shown again, or of the query, where whereTo
// keeps what was typed. It returns "" if the query is for an account other than the one
// now logged in.
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
