package web_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"holdfast/internal/dev/require"
	"holdfast/internal/session"
)

// Every test checks the headers of every response (see hold). This test makes sure that
// each kind of response is among them.
func TestTheSecurityHeadersStandOnEveryKindOfAnswer(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			w := parallelWorld(t, embedded, options{https: scheme == "https"})
			w.site.AddPage("/test/fault", func(echo.Context, *session.Session) error { panic("x") })
			b := w.member(w.person("Ada"))
			sheet := b.get("/").doc().Find("link[rel=stylesheet]").AttrOr("href", "")
			answers := []*answer{
				b.get("/"), b.get("/profile"), b.json("/session"), b.get("/healthz"), b.get(sheet), b.get("/login"), b.get("/none"), b.get("/static/none"),
				b.send(http.MethodGet, sheet, "", "If-None-Match: *"), b.send(http.MethodOptions, "/", ""), b.send(http.MethodPut, "/", ""),
				b.post("/session", nil), b.postWith("/session", "key=%00"), b.postWith("/session", "key="+strings.Repeat("a", 1<<17)),
				b.send(http.MethodPost, "/session", "{}", "Content-Type: application/json"),
				b.send(http.MethodPost, "/logout", "", "Sec-Fetch-Site: cross-site"),
				b.get("/test/fault"), b.json("/test/fault"),
			}
			require.NoError(t, w.db.Close())
			answers = append(answers, b.get("/readyz"), b.get("/devices"))
			kinds := map[int]bool{}
			for _, a := range answers {
				kinds[a.status] = true
				cache := a.header.Get("Cache-Control")
				private := a.status >= 400 && !strings.HasPrefix(a.request.URL.Path, "/readyz") || a.request.URL.Path == "/profile"
				if private && cache != "no-store" {
					t.Errorf("%d %s: Cache-Control %q", a.status, a.request.URL.Path, cache)
				}
				want := ""
				if scheme == "https" {
					want = "max-age=63072000"
				}
				if got := a.header.Get("Strict-Transport-Security"); got != want {
					t.Errorf("%d %s: Strict-Transport-Security %q, want %q", a.status, a.request.URL.Path, got, want)
				}
			}
			want := []int{200, 204, 303, 304, 400, 403, 404, 405, 413, 415, 422, 500, 503}
			if got := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, want) {
				t.Errorf("the answers have statuses %v, want %v", got, want)
			}
		})
	}
}

func TestAPrivatePageIsNotKeptWhateverIsAskedOfIt(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	b := w.member(w.person("Ada"))
	for _, header := range []string{
		"Range: bytes=0-10", "If-None-Match: *", "If-Modified-Since: Mon, 23 Nov 2099 00:00:00 GMT", "Accept-Encoding: gzip;q=x, *", "Cache-Control: only-if-cached",
		"Accept: */*", "Accept: application/json, text/html",
	} {
		page := b.send(http.MethodGet, "/profile", "", header).want(http.StatusOK)
		if page.header.Get("Cache-Control") != "no-store" || page.header.Get("Etag")+page.header.Get("Last-Modified") != "" {
			t.Errorf("asked with %s the profile may be kept: %v", header, page.header)
		}
	}
}

func TestNoOtherOriginMayReadAnswers(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	b := w.member(w.person("Ada"))
	for _, method := range []string{http.MethodGet, http.MethodOptions, http.MethodPost} {
		b.send(method, "/session", "", "Origin: https://e.example", "Access-Control-Request-Method: POST", asJSON) // hold refuses any Access-Control header
	}
}

func TestAStoreThatIsAwayIsSaidInTheSitesOwnLook(t *testing.T) {
	w := parallelWorld(t, privateServices, options{learn: true})
	p, b := w.newMember("Ada")
	w.stores.redis.Stop()
	for _, path := range []string{"/profile", "/", "/login", "/session", "/devices"} {
		page := b.get(path).want(http.StatusServiceUnavailable).wantNoCookie().wantErrorPage()
		page.wantText("h1", "We can’t look up sessions right now").wantText("header nav, header .person", "")
		page.wantPart("main", "If you were logged in, you still are.")
	}
	b.get("/none").want(http.StatusNotFound).wantErrorPage().wantText("header nav", "")
	b.post("/session", map[string][]string{"key": {"a"}, "value": {"b"}}).want(http.StatusServiceUnavailable).wantNoCookie()
	w.browser().get("/").want(http.StatusOK)
	w.browser().logIn(p, "").want(http.StatusServiceUnavailable).wantNoCookie().wantErrorPage()
	b.get("/healthz").want(http.StatusOK)
	b.get("/readyz").want(http.StatusServiceUnavailable)
	w.stores.redis.Start() // empty: only the data it held is lost
	w.well()
	wantLoggedOut(b)
	w.browser().logIn(p, "").wantRedirect("/profile")
}

// TestOnlyAGuestsFormIsKeptForBack: a member's page contains the member's name.
func TestOnlyAGuestsFormIsKeptForBack(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	p := w.person("Ada")
	for want, b := range map[string]*browser{"private, no-cache": w.browser(), "no-store": w.member(p)} {
		b.post("/login", credentials(p.email, "not the password")).want(http.StatusUnprocessableEntity).wantHeader("Cache-Control", want)
	}
}
