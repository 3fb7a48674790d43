package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/web"
)

// TestWhoeverGivesThePasswordAgainGetsToWhereTheyWereGoing tries every route. Those
// that require the password are listed here.
func TestWhoeverGivesThePasswordAgainGetsToWhereTheyWereGoing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{mail: true})
	p := w.person("Ada")
	ends := map[string]string{
		"POST /devices/end":        "/devices",
		"POST /devices/end-others": "/devices",
		"GET /account/email":       "/account/email",
		"POST /account/email":      "/account/email?account=" + web.AccountValue(p.id) + "&email=bea%40kelp.example",
		"GET /account/export":      "/account/export",
		"GET /account/delete":      "/account/delete",
		"POST /account/delete":     "/account/delete",
	}
	tried := map[string]bool{}
	for _, route := range w.site.Routes() {
		method, path, _ := strings.Cut(route, " ")
		if strings.ContainsAny(path, ":*") {
			continue
		}
		b := w.member(p)
		w.clock.Advance(10 * time.Minute)
		var asked *answer
		if method == http.MethodPost {
			asked = b.post(path, map[string]url.Values{"/account/email": {"email": {"bea@kelp.example"}}}[path])
		} else {
			asked = b.do(b.request(method, path, nil))
		}
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

func TestAGuestWhoWantsTheDownloadGetsItAfterLoggingIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{})
	p := w.person("Ada")
	b := w.browser()
	page := b.follow(b.get("/account/export").wantRedirect("/login?next=%2Faccount%2Fexport"))
	in := b.submit(page, "form[action='/login']", map[string]string{"email": p.email, "password": p.password}).wantRedirect("/account/export")
	if got := b.follow(in).want(http.StatusOK).header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment") {
		t.Errorf("Content-Disposition %q", got)
	}
}
