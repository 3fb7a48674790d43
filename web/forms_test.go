package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestATakenAddressLeadsToLogInWithItFilledIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{})
	ada := w.person("Ada")
	b := w.browser()
	again := b.submit(b.get("/register?next=/devices"), "form[action='/register']", map[string]string{
		"name": "Ada", "email": ada.email, "password": "another long password",
	}).want(http.StatusUnprocessableEntity)
	link := again.doc().Find("main a[href^='/login?email=']").AttrOr("href", "")
	page := b.get(link).want(http.StatusOK)
	if got := page.doc().Find("input#email").AttrOr("value", ""); got != ada.email {
		t.Errorf("%s fills in %q, want %q", link, got, ada.email)
	}
	if got := page.doc().Find("input[name=next]").AttrOr("value", ""); got != "/devices" {
		t.Errorf("%s leads on to %q", link, got)
	}
	long := b.get("/login?email=" + strings.Repeat("a", 255)).want(http.StatusOK)
	if got := long.doc().Find("input#email").AttrOr("value", ""); got != "" {
		t.Errorf("what cannot be an address is filled in: %q", got)
	}
}

func TestWhoRegistersCanStayLoggedIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{})
	for box, kept := range map[string]bool{"on": true, "": false} {
		b := w.browser()
		form := url.Values{"name": {"Ada"}, "email": {"ada" + box + "@kelp.example"}, "password": {"quiet harbours freeze late"}, "remember": {box}}
		cookie := b.post("/register", form).wantRedirect("/profile").cookie(w.sessions.CookieName())
		if got := cookie.MaxAge > 0; got != kept {
			t.Errorf("remember %q: the cookie is kept when the browser closes: %v", box, got)
		}
	}
}

func TestOnThePageOnlyTheButtonRemovesAValue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{})
	b := w.browser()
	b.set("colour", "green")
	if got := b.get("/session").notices(); !slices.Equal(got, []string{"colour has been set."}) {
		t.Errorf("after setting it the page says %q", got)
	}
	again := b.set("colour", "").want(http.StatusUnprocessableEntity)
	again.wantText("#value-error", "Enter a value.").wantText("title", "Error: Session · Holdfast")
	if got := again.shown()["colour"]; got != "green" {
		t.Errorf("an empty value changed it to %q", got)
	}
	page := b.get("/session")
	b.submit(page, "table.values form", nil).wantRedirect("/session")
	after := b.get("/session")
	if got := after.notices(); len(after.shown()) != 0 || !slices.Equal(got, []string{"colour has been removed."}) {
		t.Errorf("after removing it: %v, %q", after.shown(), got)
	}
}

func TestADeviceIsShownByItsKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{})
	p := w.person("Ada")
	for userAgent, kind := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0":                                                                  "computer",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1": "phone",
		"Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1":          "tablet",
		"curl/8.5.0": "program",
		"":           "unknown",
	} {
		b := w.browser()
		r := b.request(http.MethodPost, "/login", strings.NewReader(url.Values{"email": {p.email}, "password": {p.password}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("User-Agent", userAgent)
		b.do(r).wantRedirect("/profile")
		if n := b.get("/devices").doc().Find(".card.current .kind-" + kind).Length(); n != 1 {
			t.Errorf("%q is not shown as a %s", userAgent, kind)
		}
	}
}

func TestCrawlersMayReadEverythingThatIsPublic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{})
	robots := w.browser().get("/robots.txt").want(http.StatusOK).wantNoCookie()
	if got := string(robots.body); got != "User-agent: *\nDisallow:\n" {
		t.Errorf("robots.txt says %q", got)
	}
	for _, path := range []string{"/", "/login", "/register"} {
		if said := w.browser().get(path).doc().Find("meta[name=description]").AttrOr("content", ""); said == "" {
			t.Errorf("%s has no description", path)
		}
	}
}
