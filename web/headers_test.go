package web_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"golang.org/x/net/html"

	"holdfast/internal/dev/require"
	"holdfast/internal/session"
)

// Every test checks the headers of every response (see hold). This test makes sure that
// each kind of response is among them.
func TestTheSecurityHeadersStandOnEveryKindOfAnswer(t *testing.T) {
	t.Parallel()
	for hsts, o := range map[string]options{
		"": {}, "max-age=63072000": {https: true}, "max-age=63072000; includeSubDomains": {https: true, wide: true},
	} {
		t.Run(hsts, func(t *testing.T) {
			w := parallelWorld(t, embedded, o)
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
				if got := a.header.Get("Strict-Transport-Security"); got != hsts {
					t.Errorf("%d %s: Strict-Transport-Security %q, want %q", a.status, a.request.URL.Path, got, hsts)
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
	w, p, b := withMember(t, privateServices, options{learn: true})
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

// hold checks what must be true of every response (OWASP ASVS 5.0.0, chapters 3.2 to
// 3.5; 14.2.1).
func (a *answer) hold(w *world) {
	a.t.Helper()
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self' data:; manifest-src 'self'; connect-src 'self'; " +
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              referrerPolicy(a.request.URL.Path),
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := a.header.Values(name); len(got) != 1 || got[0] != want {
			a.fault("header %s is %q, want %q", name, got, want)
		}
	}
	if a.header.Get("Permissions-Policy") == "" {
		a.fault("no Permissions-Policy")
	}
	if hsts := a.header.Get("Strict-Transport-Security"); (hsts != "") != w.options.https {
		a.fault("Strict-Transport-Security is %q", hsts)
	}
	if got := a.header.Values("Cache-Control"); len(got) > 1 {
		a.fault("%d Cache-Control lines: %q", len(got), got)
	}
	if len(a.cookies) > 0 && a.header.Get("Cache-Control") != "no-store" {
		a.fault("a cookie is set on an answer that may be kept: %q", a.header.Get("Cache-Control"))
	}
	for name := range a.header {
		if strings.HasPrefix(name, "Access-Control-") || name == "Server" || name == "X-Powered-By" {
			a.fault("header %s: %q", name, a.header[name])
		}
	}
	kind := a.header.Get("Content-Type")
	if len(a.body) > 0 && !strings.HasSuffix(kind, "; charset=utf-8") && !strings.HasSuffix(kind, "; charset=UTF-8") &&
		!slices.Contains([]string{"application/json", "application/manifest+json", "image/x-icon", "image/png", "image/svg+xml", "font/woff2"}, kind) {
		a.fault("Content-Type %q", kind)
	}
	if a.request.URL.RawQuery == "" { // values from the URL may come back
		w.secrets.notIn(a.t, "the page "+a.request.URL.Path, string(a.body)+a.header.Get("Location"))
	}
	if strings.HasPrefix(kind, "text/html") && a.request.Method != http.MethodHead {
		if _, seen := w.held.LoadOrStore(string(a.body), true); !seen {
			a.holdPage()
		}
	}
}

// holdPage checks what must be true of every page: nothing a person typed has become
// markup, and every URL in it is one of this site.
func (a *answer) holdPage() {
	a.t.Helper()
	doc := a.doc()
	for selector, want := range map[string]int{"h1": 1, "body > header": 1, "main": 1, "html[lang=en]": 1, "base, style, iframe, object, embed": 0} {
		a.wantCount(selector, want)
	}
	for _, script := range doc.Find("script").EachIter() {
		if !strings.HasPrefix(script.AttrOr("src", ""), "/static/") || script.Text() != "" {
			a.fault("script %q with text %q", script.AttrOr("src", ""), script.Text())
		}
	}
	for _, element := range doc.Find("*").Nodes {
		for _, attribute := range element.Attr {
			a.holdAttribute(element.Data, attribute)
		}
	}
}

func (a *answer) holdAttribute(element string, attribute html.Attribute) {
	a.t.Helper()
	switch {
	case strings.HasPrefix(attribute.Key, "on"), attribute.Key == "style", attribute.Key == "srcdoc":
		a.fault("<%s %s=%q>", element, attribute.Key, attribute.Val)
	case attribute.Key == "href", attribute.Key == "src", attribute.Key == "action", attribute.Key == "formaction":
		target, err := url.Parse(attribute.Val)
		local := strings.HasPrefix(attribute.Val, "/") && !strings.HasPrefix(attribute.Val, "//")
		if element == "link" && strings.HasPrefix(attribute.Val, "data:image/svg+xml,") {
			return // the icon, inlined in the page
		}
		if err != nil || target.Host != "" || !local && !strings.HasPrefix(attribute.Val, "#") {
			a.fault("<%s %s=%q>", element, attribute.Key, attribute.Val)
		}
	}
}

func (a *answer) fault(format string, args ...any) {
	a.t.Helper()
	a.t.Errorf("%s %s, status %d: "+format, append([]any{a.request.Method, a.request.URL, a.status}, args...)...)
}

// referrerPolicy returns the expected Referrer-Policy: one without a path if the URL
// contains an emailed link.
func referrerPolicy(path string) string {
	if path == "/reset" || path == "/verify" {
		return "strict-origin"
	}
	return "same-origin"
}

func TestJSONIsNotKeptAndTellsNoCause(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	const cause = "the cause, which is not for the page"
	w.site.AddPage("/test/fails", func(echo.Context, *session.Session) error { return fmt.Errorf("%s", cause) })
	b := w.member(w.person("Ada"))
	for path, status := range map[string]int{"/session": 200, "/test/fails": 500, "/nowhere": 404} {
		page := b.json(path).want(status).wantHeader("Cache-Control", "no-store")
		if !strings.HasPrefix(page.header.Get("Content-Type"), "application/json") {
			t.Errorf("%s: %v", path, page.header)
		}
		if strings.Contains(string(page.body), cause) {
			t.Errorf("%s tells %s", path, page.body)
		}
	}
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
