package web_test

import (
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
)

// crawl opens every page that links lead to from the home page, and every GET route of
// the site, and returns the responses by path.
func (b *browser) crawl() map[string]*answer {
	b.w.t.Helper()
	seen := map[string]*answer{}
	queue := []string{"/"}
	for _, route := range b.w.site.Routes() {
		if path, ok := strings.CutPrefix(route, "GET "); ok {
			queue = append(queue, path)
		}
	}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] != nil {
			continue
		}
		page := b.get(path)
		seen[path] = page
		if page.status == http.StatusSeeOther {
			queue = append(queue, page.resolve(page.header.Get("Location")))
			continue
		}
		for _, link := range page.doc().Find("a[href], link[href]:not([href^='data:']), script[src], img[src]").EachIter() {
			queue = append(queue, page.resolve(link.AttrOr("href", link.AttrOr("src", ""))))
		}
	}
	if len(seen) < 10 {
		b.w.t.Fatalf("the crawl found only %v", slices.Sorted(maps.Keys(seen)))
	}
	return seen
}

func TestGETChangesNothing(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	p := w.person("Ada")
	guest, starting, member := w.browser(), w.browser(), w.member(p)
	starting.post("/session", url.Values{"key": {"colour"}, "value": {"green"}}).wantRedirect("/session")
	member.post("/session", url.Values{"key": {"colour"}, "value": {"blue"}}).wantRedirect("/session")
	w.member(p)
	before := w.everything()
	for who, b := range map[string]*browser{"a guest": guest, "a guest with values": starting, "a member": member} {
		for path, page := range b.crawl() {
			if page.status >= http.StatusInternalServerError {
				t.Errorf("%s gets %d for %s", who, page.status, path)
			}
			page.wantNoCookie()
			b.do(b.request(http.MethodHead, path, nil)).want(page.status).wantNoCookie()
		}
		w.wantUnchanged(before, "crawling as "+who)
	}
	// Paths that would change something as a POST.
	for _, path := range []string{
		"/logout", "/session?key=colour&value=", "/session?key=a&value=b", "/devices/end-others", "/devices/end?id=x",
		"/account/name?name=Eve", "/login?email=" + p.email + "&password=" + url.QueryEscape(p.password),
	} {
		member.get(path).wantNoCookie()
	}
	w.wantUnchanged(before, "GETs of what POSTs change")
}

func TestAGuestWhoOnlyLooksGetsNoCookieAndLeavesNoTrace(t *testing.T) {
	w := parallelWorld(t, services, options{learn: true})
	w.person("Ada")
	before := w.everything()
	look := func() {
		b := w.browser()
		for range 20 {
			for _, path := range []string{"/", "/login", "/register", "/session"} {
				b.get(path).want(http.StatusOK).wantNoCookie()
			}
			b.get("/profile").wantRedirect("/login?next=%2Fprofile").wantNoCookie()
		}
	}
	if calls := w.redisCalls(look); len(calls) > 0 {
		t.Errorf("100 pages of guests called Redis: %v", calls)
	}
	w.wantUnchanged(before, "100 pages of guests")
}

func TestAMembersPageIsOneReadOfTheStoreAndNoSQL(t *testing.T) {
	w, _, b := withMember(t, services, options{learn: true})
	b.get("/profile").want(http.StatusOK)
	// The server also queries the database by itself now and then, so the fewest
	// connections of several tries count.
	connections := func(path string) int64 {
		fewest := int64(math.MaxInt64)
		for range 20 {
			before := w.db.Pool().Stat().AcquireCount()
			b.get(path).want(http.StatusOK)
			fewest = min(fewest, w.db.Pool().Stat().AcquireCount()-before)
		}
		return fewest
	}
	for _, path := range []string{"/profile", "/", "/session"} {
		calls := w.redisCalls(func() { b.get(path).want(http.StatusOK) })
		if !maps.Equal(calls, map[string]int{"get": 1}) {
			t.Errorf("GET %s called Redis for %v, want one GET", path, calls)
		}
		if n := connections(path); n != 0 {
			t.Errorf("GET %s takes %d connections to the database", path, n)
		}
	}
	if connections("/devices") == 0 {
		t.Error("the count does not see the SQL of /devices, so it proves nothing")
	}
}

func TestGreetingAndLogOutNeedNoDatabase(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		b := w.member(w.person("Ada"))
		require.NoError(t, w.db.Close())
		b.get("/profile").want(http.StatusOK).wantText("h1", "Hello, Ada!")
		b.post("/session", url.Values{"key": {"colour"}, "value": {"green"}}).wantRedirect("/session")
		page := b.get("/session").want(http.StatusOK).wantText("table.values tbody td[dir]", "green")
		b.submit(page, "form[action='/logout']", nil).wantRedirect("/login")
		if keys := w.sessionKeys(); len(keys) != 0 {
			t.Errorf("logged out, yet stored: %q", keys)
		}
	})
}

func TestStaticFilesKnowNoSession(t *testing.T) {
	w, _, b := withMember(t, services, options{learn: true})
	var files []string
	for _, link := range b.get("/profile").doc().Find("link[href]:not([href^='data:']), script[src]").EachIter() {
		files = append(files, link.AttrOr("href", link.AttrOr("src", "")))
	}
	if len(files) < 2 {
		t.Fatalf("the profile links to %q, want a style sheet and a script", files)
	}
	look := func() {
		for _, path := range append(files, "/favicon.ico", "/robots.txt", "/healthz") {
			file := b.get(path).want(http.StatusOK).wantNoCookie()
			if strings.Contains(strings.ToLower(strings.Join(file.header.Values("Vary"), ",")), "cookie") {
				t.Errorf("%s varies by cookie", path)
			}
			if strings.HasPrefix(path, "/static/") {
				file.wantHeader("Cache-Control", "public, max-age=31536000, immutable")
			}
		}
		b.get("/static/none.css").want(http.StatusNotFound).wantNoCookie()
	}
	if calls := w.redisCalls(look); len(calls) > 0 {
		t.Errorf("static files called Redis: %v", calls)
	}
}

// headerLinks returns the links in a page's header, except the one to the home page.
func headerLinks(page *answer) []string {
	var links []string
	for _, a := range page.doc().Find("header a:not(.brand)").EachIter() {
		links = append(links, a.AttrOr("href", ""))
	}
	return links
}

func TestTheHeaderIsForWhoeverIsAsking(t *testing.T) {
	t.Parallel()
	for _, learn := range []bool{false, true} {
		w := newWorld(t, embedded(t), options{learn: learn})
		all := rows(w)
		for who, b := range map[string]*browser{"a guest": w.browser(), "a member": w.member(w.person("Ada"))} {
			links := headerLinks(b.get("/"))
			if len(links) < 3 {
				t.Errorf("%s is offered only %q", who, links)
			}
			for _, link := range links {
				page := b.get(link)
				if page.status != http.StatusOK {
					t.Errorf("the header offers %s the page %s, which answers %s", who, link, page.brief())
					continue
				}
				marked := page.doc().Find("header [aria-current=page]").AttrOr("href", "")
				if got := headerLinks(page); marked != link || !slices.Equal(got, links) {
					t.Errorf("%s at %s: the header marks %q and offers %q, want %q: see templates/partials/header.html", who, link, marked, got, links)
				}
				if who == "a member" && all["GET "+link].member != "200" {
					t.Errorf("the header offers a member %s, which is for guests", link)
				}
			}
			b.get("/").wantCount("header form[method=post][action='/logout'] button", map[string]int{"a guest": 0, "a member": 1}[who])
			if offered := slices.Contains(links, "/explain"); offered != learn {
				t.Errorf("%s, learning %v: /explain is offered: %v", who, learn, offered)
			}
		}
	}
}

// notForPeople are paths that nothing links to: programs request them, or a redirect or
// an email leads there.
var notForPeople = []string{"/healthz", "/readyz", "/favicon.ico", "/lab/wait", "/lab/check", "/account/proof", "/reset", "/verify"}

func TestEveryPageCanBeFoundByItsLinks(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	linked := map[string]bool{"/": true}
	for _, b := range []*browser{w.browser(), w.member(w.person("Ada"))} {
		for _, page := range b.crawl() {
			for _, link := range page.doc().Find("a[href^='/']").EachIter() {
				path, _, _ := strings.Cut(link.AttrOr("href", ""), "?")
				path, _, _ = strings.Cut(path, "#")
				linked[path] = true
			}
		}
	}
	for _, route := range w.site.Routes() {
		path, isGet := strings.CutPrefix(route, "GET ")
		if isGet && !strings.ContainsAny(path, ":*.") && !linked[path] && !slices.Contains(notForPeople, path) {
			t.Errorf("no page links to %s: add it to templates/partials/header.html or to the page it belongs to (linked are %s)",
				path, slices.Sorted(maps.Keys(linked)))
		}
	}
}
