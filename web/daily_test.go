package web_test

import (
	"net/http"
	"net/url"
	"testing"

	"holdfast/internal/account"
)

// What browsers and their helpers do to pages every day.

func TestAPageThatIsFetchedInAdvanceTakesNoMessage(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	b := w.member(w.person("Ada"))
	b.post("/account/name", url.Values{"name": {"Ada L."}}).wantRedirect("/account")
	b.send(http.MethodGet, "/account", "", "Sec-Purpose: prefetch;prerender").want(http.StatusOK).wantNotices()
	b.get("/account").want(http.StatusOK).wantNotice("")
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

// TestAPasswordManagerIsToldWhosePasswordItIs: it ignores hidden fields.
func TestAPasswordManagerIsToldWhosePasswordItIs(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	p, b := w.newMember("Ada")
	for _, path := range []string{"/account/password", "/account/proof", "/reset?token=" + w.link(account.PurposeReset, p)} {
		field := b.get(path).want(http.StatusOK).doc().Find("form input[autocomplete=username]")
		if kind, value := field.AttrOr("type", ""), field.AttrOr("value", ""); kind != "email" || value != p.email {
			t.Errorf("%s: a field of type %q with %q", path, kind, value)
		}
	}
	b.get("/reset?token="+w.link(account.PurposeReset, p)).wantText("main strong", p.email)
}

func TestPasswordManagersFindWhereToChangeThePassword(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	b := w.member(w.person("Ada"))
	b.follow(b.get("/.well-known/change-password").wantRedirect("/account/password")).want(http.StatusOK).wantText("h1", "Change your password")
}

func TestCrawlersMayReadEverythingThatIsPublic(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
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
