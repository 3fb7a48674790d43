package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// elsewhere are addresses, in many spellings, that are not pages of this site to show
// after a login.
var elsewhere = []string{
	"https://e.example", "http://e.example/", "//e.example", "///e.example", "/\\e.example", "\\\\e.example", "\\/e.example", "/\t/e.example",
	"/%09/e.example", "https:e.example", "http:///e.example", "javascript:alert(1)", "data:text/html,x", " //e.example", "/ /e.example",
	"//e.example/%2e%2e", "/profile\r\nSet-Cookie: a=b", "/profile%0d%0aSet-Cookie:%20a=b", "/profile\x00", "@e.example", "e.example", "profile", ".", "..", "?",
	"/profile/../../e.example", "/%2fe.example", "/.//e.example", "/./", "http://127.0.0.1@e.example", "/profile#//e.example", "/profile;x",
	"/" + strings.Repeat("a", 10<<10), "/profile?" + strings.Repeat("a", 10<<10), "/logout", "/devices/end", "/session/", "/none", "/static/", "/healthz",
	"\u2215\u2215e.example", "/\u00a0/e.example", "\u202e/profile", "/profile?%zz", "/profile?a;b",
}

func TestNextLeadsToPagesOfThisSiteOnly(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	guest, member := w.browser(), w.member(w.person("Ada"))
	for _, next := range elsewhere {
		query := "?next=" + url.QueryEscape(next)
		for _, path := range []string{"/login", "/register"} {
			member.get(path + query).wantRedirect("/profile")
			guest.get(path+query).want(http.StatusOK).wantCount("input[name=next]", 0)
		}
		// A refused form is shown again with its hidden fields.
		page := guest.post("/login", url.Values{"next": {next}})
		if page.status != http.StatusUnprocessableEntity && page.status != http.StatusBadRequest {
			t.Errorf("POST /login with next %.60q answered %d", next, page.status)
		}
		page.wantCount("input[name=next]", 0)
	}
	for next, want := range map[string]string{
		"/": "/", "/session": "/session", "/profile": "/profile", "/session?a=b": "/session?a=b",
		"/session?a=%2F%2Fe.example&b=%0d%0a": "/session?a=%2F%2Fe.example&b=%0D%0A",
	} {
		member.get("/login?next=" + url.QueryEscape(next)).wantRedirect(want)
	}
}

func TestALogInThatWasForcedElsewhereEndsAtTheProfile(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	p := w.person("Ada")
	for i, next := range []string{"//e.example", "/\\e.example", "javascript:alert(1)", "/profile\r\nSet-Cookie: a=b", "https://e.example"} {
		for path, form := range map[string]url.Values{
			"/login": credentials(p.email, p.password), "/register": signUpForm(fmt.Sprintf("bea%d@kelp.example", i), otherPassword),
		} {
			form.Set("next", next)
			w.browser().post(path, form).wantRedirect("/profile")
		}
	}
}

func TestAGuestComesBackToThePageTheyAskedFor(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	p := w.person("Ada")
	b := w.browser()
	sent := b.get("/devices?page=2").wantRedirect("/login?next=%2Fdevices%3Fpage%3D2")
	page := b.follow(sent).want(http.StatusOK)
	page = b.submit(page, "form[action='/login']", map[string]string{"email": p.email, "password": "not this one, it is wrong"}).want(422)
	in := b.submit(page, "form[action='/login']", map[string]string{"email": p.email, "password": p.password}).wantRedirect("/devices?page=2")
	b.follow(in).want(http.StatusOK)

	// The same through creating an account.
	b = w.browser()
	page = b.follow(b.get("/account"))
	page = b.get(page.resolve(page.doc().Find("main a[href^='/register']").AttrOr("href", "")))
	b.submit(page, "form[action='/register']", map[string]string{
		"name": "Bea", "email": "bea@kelp.example", "password": otherPassword,
	}).wantRedirect("/account")
}

func TestATakenAddressLeadsToLogInWithItFilledIn(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	ada := w.person("Ada")
	b := w.browser()
	again := b.submit(b.get("/register?next=/devices"), "form[action='/register']", map[string]string{
		"name": "Ada", "email": ada.email, "password": "another long password",
	}).want(http.StatusUnprocessableEntity)
	link := again.doc().Find("main a[href^='/login?email=']").AttrOr("href", "")
	page := b.get(link).want(http.StatusOK)
	page.wantValue("input#email", ada.email).wantValue("input[name=next]", "/devices")
	b.get("/login?email="+strings.Repeat("a", 255)).want(http.StatusOK).wantValue("input#email", "")
}

func TestALinkOfAnotherSiteFillsInNoAddress(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	for site, want := range map[string]string{
		"": "ada@kelp.example", "none": "ada@kelp.example", "same-origin": "ada@kelp.example", "same-site": "", "cross-site": "",
	} {
		t.Logf("Sec-Fetch-Site %q", site)
		w.browser().send(http.MethodGet, "/login?email=ada@kelp.example", "", "Sec-Fetch-Site: "+site).wantValue("#email", want)
	}
}
