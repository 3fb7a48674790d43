package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/session"
)

func TestANewNameGreetsOnEveryDevice(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		ada, bea := w.person("Ada"), w.person("Bea")
		here, there, other := w.member(ada), w.member(ada), w.member(bea)
		page := here.get("/account").want(http.StatusOK)
		page.wantValue("#name", "Ada")
		const name = "Ada \u00ab<b>\u00bb King"
		saved := here.submit(page, "form[action='/account/name']", map[string]string{"name": "  " + name + " "}).wantRedirect("/account")
		here.follow(saved).wantNotices("Your name has been changed.")
		for _, b := range []*browser{here, there} {
			b.get("/profile").want(http.StatusOK).wantText("h1", "Hello, "+name+"!")
		}
		other.get("/profile").wantText("h1", "Hello, Bea!")
		again := w.browser()
		again.follow(again.logIn(ada, "")).wantText("h1", "Hello, "+name+"!")
	})
}

func TestANameThatCannotBeIsSaidAndChangesNothing(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	b := w.member(w.person("Ada"))
	for _, name := range []string{"", "   ", strings.Repeat("a", 121), "A\tda", "A\u202eda"} {
		page := b.submit(b.get("/account"), "form[action='/account/name']", map[string]string{"name": name}).want(http.StatusUnprocessableEntity)
		if page.text("#name-error") == "" || page.value("#name") != name {
			t.Errorf("%q: the error is %q, the field has %q", name, page.text("#name-error"), page.value("#name"))
		}
	}
	b.get("/profile").wantText("h1", "Hello, Ada!")
	w.browser().post("/account/name", url.Values{"name": {"Eve"}}).wantRedirect("/login?next=%2Faccount")
}

// TestWithoutAMailServerAnAddressIsConfirmedToo: emails are then written to files.
func TestWithoutAMailServerAnAddressIsConfirmedToo(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	b := w.member(w.person("Ada"))
	page := b.get("/account").want(http.StatusOK).wantText(".overview strong", "not confirmed yet")
	b.submit(page, "form[action='/account/confirm']", nil).wantRedirect("/account")
	if sent := w.sendMail(); len(sent) != 1 {
		t.Errorf("%d emails, want the one to confirm the address", len(sent))
	}
}

// TestASessionDeletedFromTheStoreDidNotExpire: the list of past sessions says so.
func TestASessionDeletedFromTheStoreDidNotExpire(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	p := w.person("Ada")
	lost, b := w.member(p), w.member(p)
	require.NoError(t, w.store.Delete(t.Context(), session.Key(lost.token())))
	w.sql(`UPDATE devices SET created_ms = created_ms - 120000`) // a newer session may still be about to be stored
	b.get("/devices")
	b.get("/devices").wantPart(".past", "Deleted from the session store").wantNoPart(".past", "Expired")
}
