package web_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestThePageThatSaysWhyIsThereForEverybodyAndStartsNothingWithoutLearn(t *testing.T) {
	for _, learn := range []bool{true, false} {
		w := newWorld(t, embedded(t), options{learn: learn})
		for who, b := range map[string]*browser{"a guest": w.browser(), "a member": w.member(w.person("Ada"))} {
			page := b.get("/why").want(http.StatusOK).wantNoCookie()
			for _, section := range []string{"memory", "second", "endings", "states", "thieves", "https"} {
				if page.doc().Find("h2#"+section).Length() != 1 {
					t.Errorf("%s, learn %v: no section %q", who, learn, section)
				}
			}
			if forms := page.doc().Find("main form").Length(); (forms == 1) != learn {
				t.Errorf("%s, learn %v: %d forms", who, learn, forms)
			}
			if b.get("/").doc().Find("a[href='/why']").Length() == 0 {
				t.Errorf("%s, learn %v: nothing leads there", who, learn)
			}
		}
		started := w.browser().post("/why/second", nil)
		if !learn {
			started.want(http.StatusNotFound)
		}
		if got := w.lab.seconds.Load(); (got == 1) != learn {
			t.Errorf("learn %v: %d second servers", learn, got)
		}
	}
}

// A browser would not show the cookie of an https site to a port that speaks http.
func TestOnHTTPSNoSecondServerIsStarted(t *testing.T) {
	w := newWorld(t, embedded(t), options{learn: true, https: true})
	b := w.member(w.person("Ada"))
	page := b.get("/why").want(http.StatusOK)
	if page.doc().Find("main form").Length() != 0 || !strings.Contains(page.text("main"), "no browser would show it the cookie") {
		t.Errorf("the page offers a second server: %s", page.text("#second ~ *"))
	}
	b.post("/why/second", nil).wantRedirect("/why#second")
	if got := w.lab.seconds.Load(); got != 0 {
		t.Errorf("%d second servers", got)
	}
	page.wantText("#https ~ p code", "__Host-session")
}
