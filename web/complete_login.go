package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/product"
	"holdfast/internal/session"
	"holdfast/internal/text"
)

// completeLogin starts a session for a person whose login has been recorded. If token
// is not "", it is added to the browser's device cookie.
func (s *Site) completeLogin(c echo.Context, person account.Person, token string, remember bool, kind account.EventKind) error {
	notice := ""
	if s.MailOn && !person.Verified {
		notice = "Your email address is not confirmed yet. You can send the email again from your account page."
	}
	if err := s.startSession(c, person, remember, notice); err != nil {
		return err
	}
	if token != "" {
		s.knowBrowser(c, token)
	}
	s.logEvent(c, kind, person.ID)
	return nil
}

// knowBrowser adds a token to the device cookie, by which an account recognises the
// browser from now on.
func (s *Site) knowBrowser(c echo.Context, token string) {
	tokens := append([]string{token}, s.deviceTokens(c.Request())...)
	tokens = tokens[:min(len(tokens), maxDeviceTokens)]
	c.SetCookie(s.cookie(product.DeviceCookie, strings.Join(tokens, "."), deviceCookieSeconds))
}

// startSession starts a session, with a notice unless it is "", and stores it. It then
// checks that the verified password is still current. So a session stored while the
// password changes does not survive, whichever happens first.
func (s *Site) startSession(c echo.Context, person account.Person, remember bool, notice string) error {
	ctx, whose := c.Request().Context(), current(c)
	whose.PrepareLogIn(session.Member{ID: person.ID, Name: person.Name, Remember: remember}, sender(c))
	if notice != "" {
		whose.Flash(notice)
	}
	if err := s.commit(c); err != nil {
		return unavailableAfter(errNotLoggedIn, err)
	}
	valid, err := s.Accounts.Current(ctx, person)
	if err == nil && valid {
		return nil
	}
	member, _ := whose.Member()
	if ended := s.Sessions.RevokeDevice(ctx, person.ID, member.Device, session.RevokedByPassword); ended != nil {
		s.Log.WarnContext(ctx, "session created with an old password not revoked; its cookie was not sent", "cause", ended)
	}
	if err != nil {
		return err
	}
	return session.ErrEnded
}

const (
	// maxDeviceTokens is how many people can share one browser and all be recognised.
	maxDeviceTokens = 5
	// deviceCookieSeconds is the longest that browsers keep a cookie (RFC 6265bis,
	// section 5.5): 400 days.
	deviceCookieSeconds = 400 * 24 * 60 * 60
)

// deviceTokens returns the device tokens of a request. If there are several device
// cookies, it returns none: it cannot know which is the right one.
func (s *Site) deviceTokens(r *http.Request) []string {
	cookies := r.CookiesNamed(s.cookieName(product.DeviceCookie))
	if len(cookies) != 1 || cookies[0].Value == "" {
		return nil
	}
	tokens := strings.SplitN(cookies[0].Value, ".", maxDeviceTokens+1)
	tokens = tokens[:min(len(tokens), maxDeviceTokens)]
	return slices.DeleteFunc(tokens, func(token string) bool { return !text.IsToken(token) })
}
