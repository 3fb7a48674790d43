package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"holdfast/internal/product"
)

func TestALoginWhoseCookieDoesNotComeBackSaysWhy(t *testing.T) {
	t.Parallel()
	for scheme, want := range map[string]string{"http": "Allow cookies for this site", "https": "over https only, and you opened this page over http"} {
		t.Run(scheme, func(t *testing.T) {
			w := parallelWorld(t, embedded, options{https: scheme == "https"})
			p := w.person("Ada")
			b := w.browser()
			b.client.Jar = nil // a browser that keeps no cookies, or no https cookies
			form := url.Values{"email": {p.email}, "password": {p.password}, "next": {"/devices"}}.Encode()
			in := b.postWith("/login", form, "Origin: http://"+w.base.Host).want(http.StatusSeeOther)
			page := b.get(in.resolve(in.header.Get("Location"))).want(http.StatusOK)
			page.wantText("h1", "Log in").wantPart("main .notice", want).wantValue("form[action='/login'] [name=next]", "/devices")
			// From a link of another site, and without a login.
			b.send("GET", in.header.Get("Location"), "", "Sec-Fetch-Site: cross-site").wantText("main .notice", "")
			b.get("/login?next=%2Fdevices").wantText("main .notice", "")

			// A browser that keeps cookies is redirected, and not checked again.
			b = w.browser()
			to := b.get(b.logIn(p, "/devices").header.Get("Location"))
			if scheme == "http" {
				to.wantRedirect("/devices")
			}
			b.get("/profile").want(http.StatusOK)
			b.post("/logout", nil)
			if to := b.logIn(p, "/devices").header.Get("Location"); to != "/devices" {
				t.Errorf("the second login leads to %q", to)
			}
		})
	}
}

// Another program, on this host or on a parent domain, has set a cookie with the same
// name for some pages. Only those pages get both.
func TestTwoSessionCookiesEndInANoticeAndNotInARedirectLoop(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	p, b := w.newMember("Ada")
	b.client.Jar.SetCookies(w.base, []*http.Cookie{{Name: product.SessionCookie, Value: "foreign", Path: "/profile"}})
	for range 2 {
		sent := b.get("/profile").wantRedirect("/login?next=%2Fprofile")
		if gone := sent.cookie(product.SessionCookie); gone.MaxAge >= 0 || gone.Path != "/" {
			t.Errorf("our cookie is not cleared: %s", gone.Raw)
		}
		login := b.follow(sent).want(http.StatusOK)
		login.wantPart("[role=status] .notice", "“"+product.SessionCookie+"”").wantPart("[role=status] .notice", "SESSION_COOKIE")
		b.logIn(p, "").wantRedirect("/profile")
	}
}

func TestACookieOfAnotherProgramIsSaidToBeOne(t *testing.T) {
	w := parallelWorld(t, embedded, options{cookie: "kelp"})
	b := w.member(w.person("Ada"))
	for cookie, want := range map[string]bool{"kelp=eyJhIjoxfQ.x.y": true, "kelp=": false, "kelp=" + b.token(): false, "session=eyJhIjoxfQ.x.y": false} {
		page := w.bare("GET", "/login", "", "Cookie: "+cookie)
		if page.status == http.StatusSeeOther {
			continue // the cookie is a member's
		}
		said := page.text("main .notice")
		if strings.Contains(said, "Another program on this host uses a cookie named “kelp”, too.") != want {
			t.Errorf("with %s the login page says %q", cookie, said)
		}
	}
}

func TestPagesShowTheConfiguredCookieName(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true, cookie: "kelp"})
	b := w.member(w.person("Ada"))
	for path, want := range map[string]string{"/explain": "kelp=", "/why": "__Host-kelp"} {
		b.get(path).want(http.StatusOK).wantPart("main", want).wantNoPart("main", "session=").wantNoPart("main", "__Host-session")
	}
}
