package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestANewNameGreetsOnEveryDevice(t *testing.T) {
	t.Parallel()
	onBothStacks(t, func(t *testing.T, w *world) {
		ada, bea := w.person("Ada"), w.person("Bea")
		here, there, other := w.member(ada), w.member(ada), w.member(bea)
		page := here.get("/account").want(http.StatusOK)
		if got := page.doc().Find("#name").AttrOr("value", ""); got != "Ada" {
			t.Errorf("the form begins with %q", got)
		}
		const name = "Ada \u00ab<b>\u00bb King"
		saved := here.submit(page, "form[action='/account/name']", map[string]string{"name": "  " + name + " "}).wantRedirect("/account")
		if got := here.follow(saved).notices(); !slices.Equal(got, []string{"Your name has been changed."}) {
			t.Errorf("the notices are %q", got)
		}
		for _, b := range []*browser{here, there} {
			b.get("/profile").want(http.StatusOK).wantText("h1", "Hello, "+name+"!")
		}
		other.get("/profile").wantText("h1", "Hello, Bea!")
		again := w.browser()
		again.follow(again.logIn(ada, "")).wantText("h1", "Hello, "+name+"!")
	})
}

func TestANameThatCannotBeIsSaidAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{})
	b := w.member(w.person("Ada"))
	for _, name := range []string{"", "   ", strings.Repeat("a", 121), "A\tda", "A\u202eda"} {
		page := b.submit(b.get("/account"), "form[action='/account/name']", map[string]string{"name": name}).want(http.StatusUnprocessableEntity)
		if page.text("#name-error") == "" || page.doc().Find("#name").AttrOr("value", "") != name {
			t.Errorf("%q: the error is %q, the field has %q", name, page.text("#name-error"), page.doc().Find("#name").AttrOr("value", ""))
		}
	}
	b.get("/profile").wantText("h1", "Hello, Ada!")
	w.browser().post("/account/name", url.Values{"name": {"Eve"}}).wantRedirect("/login?next=%2Faccount")
}
