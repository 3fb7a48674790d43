package web_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

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
