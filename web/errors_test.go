package web_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/dev/require"
	"holdfast/internal/session"
)

func TestAnErrorPageKnowsWhoIsAsking(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	w.site.AddPage("/test/fault", func(echo.Context, *session.Session) error { return errors.New("kelp tore loose") })
	p := w.person("Ada <b>& Söhne</b>")
	member, guest := w.member(p), w.browser()
	for _, path := range []string{"/none", "/test/fault", "/devices/end/x"} {
		page := member.get(path).wantErrorPage().wantNoCookie()
		page.wantText("header .person", p.name).wantCount("header a[href='/profile']", 1).wantCount("header form[action='/logout']", 1)
		guest.get(path).wantErrorPage().wantCount("header a[href='/login']", 1).wantCount("header form[action='/logout']", 0)
	}
	member.post("/devices/end", url.Values{"id": {"none"}}).want(http.StatusNotFound).wantText("header .person", p.name)
}

func TestTheButtonOfAnErrorPageDoesWhatItSays(t *testing.T) {
	w, _, b := withMember(t, privateServices, options{learn: true})
	w.site.AddPage("/test/fault", func(echo.Context, *session.Session) error { return errors.New("kelp tore loose") })
	b.get("/test/fault?a=1&b=%22%3E").wantButton("Try again", "/test/fault?a=1&b=%22%3E")
	b.get("/none").wantButton("Go to the home page", "/")
	b.post("/account/name", url.Values{"nome": {"x"}}).wantButton("Back to the form", "/account")
	b.post("/session", url.Values{"nome": {"x"}}).wantButton("Back to the form", "/session")
	w.stores.redis.Stop()
	b.get("/profile?x=1").wantButton("Try again", "/profile?x=1").wantHeader("Refresh", "5").wantHeader("Retry-After", "5")
	// Neither a form nor JSON is requested again by itself.
	failed := b.post("/devices/end-others", nil).want(http.StatusServiceUnavailable)
	failed.wantButton("Back to the form", "/devices").wantHeader("Refresh", "")
	b.json("/session").wantHeader("Refresh", "")
}

// wantButton checks the first button of an error page.
func (a *answer) wantButton(text, href string) *answer {
	a.t.Helper()
	first := a.doc().Find("main .actions a").First()
	if first.Text() != text || first.AttrOr("href", "") != href {
		a.fault("the button %q leads to %q, want %q to %q", first.Text(), first.AttrOr("href", ""), text, href)
	}
	return a
}

func TestWhatTakesOnlyFormsLeadsBackToItsForm(t *testing.T) {
	w, _, b := withMember(t, embedded, options{learn: true})
	for path, form := range map[string]string{
		"/account/name": "/account", "/devices/end": "/devices", "/devices/end-others": "/devices", "/logout": "/",
		"/lab/restart": "/lab", "/lab/attacks/replay": "/lab/attacks",
		"/why/second": "/why", "/why/second/stop": "/why",
	} {
		b.get(path).wantRedirect(form).wantNoCookie()
		b.get(path + "?x=1").wantRedirect(form)
	}
	if w.lab.restarts.Load() != 0 {
		t.Error("looking restarted the server")
	}
	b.json("/logout").want(http.StatusMethodNotAllowed)
}

func TestALogOutWithoutABodyLogsOut(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	b := w.member(w.person("Ada"))
	b.send(http.MethodPost, "/logout", "").wantRedirect("/login") // like curl -X POST
	wantLoggedOut(b)
}

// If another site's name resolves to this server (DNS rebinding), a browser treats that
// site's page as same-origin, so its requests look like those of this site.
func TestThePagesForLearningAnswerToTheServersOwnNameOnly(t *testing.T) {
	w, _, b := withMember(t, embedded, options{learn: true})
	ask := func(method, path, host string) *answer {
		r := b.request(method, path, strings.NewReader(""))
		r.Host = host
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Origin", "http://"+host)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return b.do(r)
	}
	learning := map[string]string{
		"/lab": "GET", "/lab/wait": "GET", "/explain": "GET", "/explain/recent": "GET", "/lab/attacks": "GET", "/lab/cookies": "GET", "/lab/expire": "GET",
		"/why": "GET", "/why/second": "POST", "/why/second/stop": "POST",
		"/lab/restart": "POST", "/lab/check": "POST", "/lab/attacks/replay": "POST",
	}
	for path, method := range learning {
		for _, host := range []string{"evil.example", "evil.example:3000", "127.0.0.1.evil.example", "localhost.evil.example", "192.0.2.7", "[2001:db8::1]:3000"} {
			if page := ask(method, path, host); page.status != http.StatusMisdirectedRequest {
				t.Errorf("%s %s at %s: %d", method, path, host, page.status)
			} else {
				page.wantErrorPage().wantNoCookie()
			}
		}
		if method == "GET" && path != "/lab/wait" {
			for _, host := range []string{w.base.Host, "localhost:3000", "LOCALHOST.", "app.localhost", "127.0.0.1", "[::1]:3000"} {
				ask(method, path, host).want(http.StatusOK)
			}
		}
	}
	if w.lab.seconds.Load() != 0 || w.lab.restarts.Load() != 0 || w.lab.checks.Load() != 0 {
		t.Errorf("%d restarts, %d checks", w.lab.restarts.Load(), w.lab.checks.Load())
	}
	ask("GET", "/session", "evil.example").want(http.StatusOK) // the proxy may use any name for this server
}

// TestTheButtonAfterAFailedMailedLinkLeadsBackToItsForm: it keeps the form's link,
// since no other page has the form.
func TestTheButtonAfterAFailedMailedLinkLeadsBackToItsForm(t *testing.T) {
	w := parallelWorld(t, privateServices, options{mail: true, redisTimeout: 3 * time.Second})
	p := w.person("Ada")
	b := w.member(w.person("Bob"))
	button := func(page *answer, href string) {
		t.Helper()
		page.wantErrorPage().wantButton("Back to the form", href).wantHeader("Referrer-Policy", "strict-origin")
	}
	reset, confirm := w.link(account.PurposeReset, p), w.link(account.PurposeConfirm, p)
	resetForm := url.Values{"token": {reset}, "password": {otherPassword}}
	w.stores.redis.Pause()
	button(b.post("/reset", resetForm).want(http.StatusServiceUnavailable), "/reset?token="+reset)
	button(b.post("/verify", url.Values{"token": {confirm}}).want(http.StatusServiceUnavailable), "/verify?token="+confirm)
	button(b.post("/reset", url.Values{"password": {otherPassword}}).want(http.StatusServiceUnavailable), "/forgot")
	w.stores.redis.Resume()
	w.well()

	button(b.post("/reset", url.Values{"nome": {"x"}}).want(http.StatusBadRequest), "/forgot")
	button(b.post("/verify", url.Values{"nome": {"x"}}).want(http.StatusBadRequest), "/account")
	button(b.postWith("/reset", resetForm.Encode(), "Sec-Fetch-Site: cross-site").want(http.StatusForbidden), "/forgot")

	w.sets(b, "/reset?token="+reset, otherPassword)
	b.post("/reset", resetForm).want(http.StatusGone).wantCount("main a[href='/forgot']", 1)
	require.NoError(t, w.db.Close())
	button(b.post("/verify", url.Values{"token": {confirm}}), "/verify?token="+confirm)
	for _, token := range []string{reset, confirm} {
		if strings.Contains(w.log.String(), token) {
			t.Error("the log has the token of a mailed link")
		}
	}
}
