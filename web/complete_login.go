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

// completeLogin begins a session for a person whose login is recorded, and gives
// the browser the token by which it is known from now on, if there is a new one.
func (s *Site) completeLogin(c echo.Context, person account.Person, token string, remember bool, kind account.EventKind) error {
	var notice []string
	if s.MailOn && !person.Verified {
		notice = []string{"Your email address is not confirmed yet. You can send the email again from your account page."}
	}
	if err := s.startSession(c, person, remember, notice...); err != nil {
		return err
	}
	if token != "" {
		s.knowBrowser(c, token)
	}
	s.logEvent(c, string(kind), person.ID)
	return nil
}

// knowBrowser gives the browser a token by which an account knows it from now on.
func (s *Site) knowBrowser(c echo.Context, token string) {
	tokens := append([]string{token}, s.deviceTokens(c.Request())...)
	tokens = tokens[:min(len(tokens), maxDeviceTokens)]
	c.SetCookie(s.cookie(product.DeviceCookie, strings.Join(tokens, "."), deviceCookieSeconds))
}

// startSession begins a session and stores it. Then it looks whether the password that
// was verified is still the current one: a session that was being stored while the password
// was changed is not left alive, whichever came first.
func (s *Site) startSession(c echo.Context, person account.Person, remember bool, notices ...string) error {
	ctx, whose := c.Request().Context(), current(c)
	whose.PrepareLogIn(session.Member{ID: person.ID, Name: person.Name, Remember: remember}, sender(c))
	for _, notice := range notices {
		whose.Flash(notice)
	}
	if err := s.commit(c, c.Response()); err != nil {
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
	// maxDeviceTokens is how many people share one browser and are all known.
	maxDeviceTokens = 5
	// deviceCookieSeconds is as long as browsers keep a cookie (RFC 6265bis,
	// section 5.5): 400 days.
	deviceCookieSeconds = 400 * 24 * 60 * 60
)

// deviceTokens are the tokens that came with a request; of two cookies it
// is unknown which is the right one.
func (s *Site) deviceTokens(r *http.Request) []string {
	cookies := r.CookiesNamed(s.cookieName(product.DeviceCookie))
	if len(cookies) != 1 || cookies[0].Value == "" {
		return nil
	}
	tokens := strings.SplitN(cookies[0].Value, ".", maxDeviceTokens+1)
	tokens = tokens[:min(len(tokens), maxDeviceTokens)]
	return slices.DeleteFunc(tokens, func(token string) bool { return !text.IsToken(token) })
}
