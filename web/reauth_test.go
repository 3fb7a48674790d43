package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/web"
)

// asksForPassword returns the routes that require the password again, and where they
// lead after that. The form of /account/email is filled in with bea@kelp.example.
func asksForPassword(p person) map[string]string {
	return map[string]string{
		"POST /devices/end":        "/devices",
		"POST /devices/end-others": "/devices",
		"GET /account/email":       "/account/email",
		"POST /account/email":      "/account/email?account=" + web.AccountValue(p.id) + "&email=bea%40kelp.example",
		"GET /account/export":      "/account/export",
		"GET /account/delete":      "/account/delete",
		"POST /account/delete":     "/account/delete",
	}
}

// TestWhoeverGivesThePasswordAgainGetsToWhereTheyWereGoing tries every route.
func TestWhoeverGivesThePasswordAgainGetsToWhereTheyWereGoing(t *testing.T) {
	w := parallelWorld(t, embedded, options{mail: true})
	p := w.person("Ada")
	ends := asksForPassword(p)
	tried := map[string]bool{}
	for _, route := range w.site.Routes() {
		method, path, _ := strings.Cut(route, " ")
		if strings.ContainsAny(path, ":*") {
			continue
		}
		b := w.member(p)
		w.clock.Advance(10 * time.Minute)
		form := map[string]url.Values{"POST /account/email": {"email": {"bea@kelp.example"}}}[route]
		asked := b.send(method, path, form.Encode(), "Content-Type: "+urlencoded)
		end, asks := ends[strings.Replace(route, http.MethodHead, http.MethodGet, 1)]
		if !asks {
			if strings.HasPrefix(asked.header.Get("Location"), "/account/proof") {
				t.Errorf("%s asks for the password", route)
			}
			continue
		}
		tried[route] = true
		asked.wantRedirect("/account/proof?next=" + url.QueryEscape(end))
		page := b.follow(asked).want(http.StatusOK)
		page = b.submit(page, "form[action='/account/proof']", map[string]string{"password": wrongPassword}).want(http.StatusUnprocessableEntity)
		given := b.submit(page, "form[action='/account/proof']", map[string]string{"password": p.password}).wantRedirect(end)
		arrived := b.follow(given).want(http.StatusOK)
		if path == "/account/export" && !strings.HasPrefix(arrived.header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%s ends in %v", route, arrived.header)
		}
	}
	for route := range ends {
		if !tried[route] {
			t.Errorf("there is no %s", route)
		}
	}
}

func TestWhatMayDoHarmAsksForThePasswordAgainAfterTenMinutes(t *testing.T) {
	w, p, b := withMember(t, embedded, options{})
	w.member(p)
	id := b.otherDevices()[0]
	w.clock.Advance(10 * time.Minute)
	b.get("/profile").want(http.StatusOK) // records the last use
	before := w.everything()
	typed := asksForPassword(p)["POST /account/email"]
	for route, next := range asksForPassword(p) {
		method, path, _ := strings.Cut(route, " ")
		form := map[string]url.Values{"POST /devices/end": {"id": {id}}, "POST /account/email": {"email": {"bea@kelp.example"}}}[route]
		b.send(method, path, form.Encode(), "Content-Type: "+urlencoded).wantRedirect("/account/proof?next=" + url.QueryEscape(next))
	}
	old, page := b.token(), b.get("/account/proof?next="+url.QueryEscape(typed)).want(http.StatusOK)
	b.submit(page, "form[action='/account/proof']", map[string]string{"password": wrongPassword}).want(http.StatusUnprocessableEntity).wantNoCookie()
	w.wantUnchanged(before, "asking without proof", "history", "devices")
	given := b.submit(page, "form[action='/account/proof']", map[string]string{"password": p.password}).wantRedirect(typed)
	if b.token() == old {
		t.Error("the token is the old one")
	}
	b.follow(given).want(http.StatusOK).wantValue("input#email", "bea@kelp.example")
	b.get("/profile").wantText("dl.facts dt:contains('Logged in') + dd", "just now")
	b.post("/devices/end-others", nil).wantRedirect("/devices")
	b.get("/account/export").want(http.StatusOK)
	w.clock.Advance(9 * time.Minute)
	b.get("/account/delete").want(http.StatusOK)
}

// TestALoginDatedAheadIsNotRecent: the clock was two hours ahead and is now correct
// again.
func TestALoginDatedAheadIsNotRecent(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	w.clock.Advance(2 * time.Hour)
	b := w.member(w.person("Ada"))
	b.get("/account/delete").want(http.StatusOK)
	w.clock.Advance(-2 * time.Hour)
	b.get("/account/delete").wantRedirect("/account/proof?next=%2Faccount%2Fdelete")
}

func TestAPasswordThatIsNotGivenAgainIsAskedFor(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	b := w.member(w.person("Ada"))
	b.post("/account/proof", nil).want(http.StatusUnprocessableEntity).wantText("#password-error", "Enter your password.")
}
