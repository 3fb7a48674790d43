package web_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/product"
)

func TestARouteTakesItsOwnMethodsOnly(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	cookie := "Cookie: " + product.SessionCookie + "=" + w.member(w.person("Ada")).token()
	methods := map[string][]string{}
	for _, route := range w.site.Routes() {
		method, path, _ := strings.Cut(route, " ")
		methods[path] = append(methods[path], method)
	}
	before := w.everything()
	for path, known := range methods {
		path = strings.Replace(path, "*", "css/site.css", 1)
		for _, method := range []string{
			"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "FOO", "get", "Post", "QUERY",
		} {
			if slices.Contains(known, method) {
				continue
			}
			page := w.raw(method, path, "", cookie, "Origin: "+w.base.String(), "X-HTTP-Method-Override: POST").wantNoCookie()
			page.wantAllow(known)
			if method == http.MethodGet || method == http.MethodHead { // a user reloads the URL that a form was sent to
				page.want(http.StatusSeeOther)
			} else {
				page.want(http.StatusMethodNotAllowed).wantErrorPage()
			}
		}
		w.raw("OPTIONS", path, "", cookie).want(http.StatusNoContent).wantNoCookie().wantAllow(known)
	}
	w.wantUnchanged(before, "methods that no route has")
}

// wantAllow checks that Allow lists the methods and OPTIONS, each once.
func (a *answer) wantAllow(methods []string) {
	a.t.Helper()
	allowed := strings.Split(strings.ReplaceAll(strings.Join(a.header.Values("Allow"), ","), " ", ""), ",")
	want := append(slices.Clone(methods), "OPTIONS")
	slices.Sort(allowed)
	slices.Sort(want)
	if !slices.Equal(allowed, want) {
		a.fault("Allow lists %q, want %q", allowed, want)
	}
}

func TestNothingStandsInForAMethod(t *testing.T) {
	w, _, b := withMember(t, embedded, options{})
	before := w.everything()
	for _, header := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		w.bare("GET", "/logout", "", "Cookie: "+product.SessionCookie+"="+b.token(), header+": POST").wantRedirect("/")
	}
	w.bare("GET", "/logout?_method=POST", "", "Cookie: "+product.SessionCookie+"="+b.token()).wantRedirect("/")
	w.wantUnchanged(before, "overridden methods")
}

func TestHEADAnswersAsGETWithoutTheBody(t *testing.T) {
	w, _, b := withMember(t, embedded, options{learn: true})
	paths := []string{"/none"}
	for _, route := range w.site.Routes() {
		if path, ok := strings.CutPrefix(route, "GET "); ok && !strings.ContainsAny(path, ":*") {
			paths = append(paths, path)
		}
	}
	for _, path := range paths {
		got, head := b.get(path), b.do(b.request(http.MethodHead, path, nil))
		if head.status != got.status || head.header.Get("Content-Type") != got.header.Get("Content-Type") || len(head.body) != 0 {
			t.Errorf("HEAD %s: %d %q and %d bytes, GET: %d %q", path, head.status, head.header.Get("Content-Type"), len(head.body),
				got.status, got.header.Get("Content-Type"))
		}
	}
}

func TestAnOddPathIsNoPage(t *testing.T) {
	w, _, b := withMember(t, embedded, options{learn: true})
	cookie := "Cookie: " + product.SessionCookie + "=" + b.token()
	sheet := b.get("/").doc().Find("link[rel=stylesheet]").AttrOr("href", "")
	before := w.everything()
	for _, path := range []string{
		"//", "/./", "/../", "/%2e/", "/%2e%2e/", "/.", "//profile", "/profile/", "/profile//", "/./profile", "/x/../profile", "/profile%2f", "/%2fprofile",
		"/profile%00", "/%00", "/profile;x", "/profile;x=y", "/PROFILE", "/Profile", "/profile%20", "/%20profile", "/profile.html", "/profile%3f",
		"/%c0%ae%c0%ae/", "/%ff", "/%e2%80%ae", "/%0d%0aSet-Cookie:%20a=b", "/%5c", "/\\profile", "/" + strings.Repeat("a", 4096), "/:path", "/*",
		"/static", "/static/", "/static/css/", "/static/css", "/static/embed.go", "/static/../go.mod", "/static/..%2f..%2fgo.mod", "/static/%2e%2e/go.mod",
		"/static/..%5c..%5cgo.mod", "/static//" + strings.TrimPrefix(sheet, "/static/"), "/static/./" + strings.TrimPrefix(sheet, "/static/"),
		"/static/css%2f" + strings.TrimPrefix(sheet, "/static/css/"), "/static/css%5c" + strings.TrimPrefix(sheet, "/static/css/"), sheet + "/", sheet + "%00",
		"/static/css/site.css", "/.git/HEAD", "/.env", "/go.mod", "/debug/pprof/", "/debug/vars", "/metrics", "/admin", "/server-status", "/holdfast.db",
		"/.data/holdfast.db", "/templates/pages/home.html", "/migrations/", "/robots.txt/", "/.well-known/x", "/healthz/", "/readyz/x", "/devices/", "/devices/end/x",
	} {
		page := w.raw("GET", path, "", cookie).wantNoCookie()
		if page.status != http.StatusNotFound && page.status != http.StatusBadRequest {
			t.Errorf("GET %.80q answered %d: %s", path, page.status, page.text("h1"))
			continue
		}
		page.wantErrorPage()
	}
	w.wantUnchanged(before, "odd paths")
	// A POST to an odd path does not bypass the check.
	for _, path := range []string{"//logout", "/logout/", "/./logout", "/%6cogout/", "/logout%2f", "/devices/../logout"} {
		w.raw("POST", path, "", cookie, "Content-Type: "+urlencoded, "Content-Length: 0").want(http.StatusNotFound)
	}
	forged := w.raw("POST", "/%6c%6fgout", "", cookie, "Sec-Fetch-Site: cross-site", "Content-Type: "+urlencoded, "Content-Length: 0")
	if forged.status != http.StatusForbidden && forged.status != http.StatusNotFound {
		t.Errorf("a forged log-out spelt oddly answered %d", forged.status)
	}
	w.wantUnchanged(before, "odd paths of log-out")
}

func TestTheHostHeaderDecidesNothing(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	p, b := w.newMember("Ada")
	for _, path := range []string{"/", "/login", "/session", "/profile", "/devices", "/none"} {
		r := b.request(http.MethodGet, path, nil)
		r.Host = "e.example"
		for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Server", "X-Original-Host", "Forwarded"} {
			r.Header.Set(name, "host=e.example")
		}
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("X-Original-URL", "/profile")
		if page := b.do(r).wantNoCookie(); strings.Contains(string(page.body), "e.example") || strings.Contains(page.header.Get("Location"), "e.example") {
			t.Errorf("%s trusts the Host header", path)
		}
	}
	in := b.postWith("/login", credentials(p.email, p.password).Encode(), "X-Forwarded-Proto: https", "X-Forwarded-For: 203.0.113.9", "X-Real-Ip: 203.0.113.9")
	if in.wantRedirect("/profile").cookie(product.SessionCookie).Secure {
		t.Error("X-Forwarded-Proto made the cookie Secure")
	}
	b.get("/devices").wantNoPart("main", "203.0.113.9").wantPart("main", "127.0.0.1") // the other is what anyone can send
}

// TestAForwardedAddressIsBelievedFromTrustedProxiesOnly: the request comes from this
// machine, which counts as a proxy only if it is listed as one.
func TestAForwardedAddressIsBelievedFromTrustedProxiesOnly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ trusted, forwarded, want string }{
		{"", "203.0.113.9", "127.0.0.1"},
		{"10.9.8.0/24", "203.0.113.9", "127.0.0.1"},
		{"127.0.0.1/32", "203.0.113.9", "203.0.113.9"},
		{"127.0.0.1/32", "203.0.113.9, 192.168.1.7", "192.168.1.7"},
		{"127.0.0.1/32", "203.0.113.9, 10.1.2.3", "10.1.2.3"},
		{"127.0.0.1/32", "203.0.113.9, 127.0.0.5", "127.0.0.5"},
		{"127.0.0.1/32", "203.0.113.9, 169.254.1.1", "169.254.1.1"},
		{"127.0.0.1/32", "203.0.113.7:51312", "203.0.113.7"},
		{"127.0.0.1/32", "198.51.100.1, [2001:db8::1]:443", "2001:db8::1"},
		{"127.0.0.1/32", "[2001:db8::1]", "2001:db8::1"},
		{"127.0.0.1/32", "203.0.113.7,", "203.0.113.7"},
		{"127.0.0.1/32", "203.0.113.7, ,unknown", "203.0.113.7"},
		{"127.0.0.0/8", "203.0.113.7, 127.0.0.9:80", "203.0.113.7"},
		{"127.0.0.1/32", ",", "127.0.0.1"},
	} {
		o := options{}
		if c.trusted != "" {
			o.trusted = []netip.Prefix{netip.MustParsePrefix(c.trusted)}
		}
		w := newWorld(t, embedded(t), o)
		ada := w.person("Ada")
		w.browser().postWith("/login", credentials(ada.email, ada.password).Encode(), "X-Forwarded-For: "+c.forwarded).wantRedirect("/profile")
		devices, err := w.sessions.Devices(t.Context(), ada.id)
		if err != nil || len(devices) != 1 || devices[0].Address != c.want {
			t.Errorf("trusting %q, %q came from %+v, %v; want %s", c.trusted, c.forwarded, devices, err, c.want)
		}
	}
}

func TestWhatIsNoAddressInXForwardedForIsLoggedOnce(t *testing.T) {
	w := parallelWorld(t, embedded, options{trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	for range 3 {
		w.browser().send(http.MethodGet, "/", "", "X-Forwarded-For: 203.0.113.7, unknown").want(http.StatusOK)
	}
	if n := strings.Count(w.log.String(), `"entry":"unknown"`); n != 1 {
		t.Errorf("logged %d times", n)
	}
}
