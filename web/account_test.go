package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/dev/require"
	"holdfast/internal/session"
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

func TestAResetDoesNotSetTheOldPasswordAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{mail: true})
	p := w.person("Ada")
	b := w.browser()
	link := "/reset?token=" + w.link(account.PurposeReset, p)
	again := b.submit(b.get(link).want(http.StatusOK), "form[action='/reset']", map[string]string{"password": p.password})
	again.want(http.StatusUnprocessableEntity).wantText("#password-error", "This is your current password. Choose another one.")
	b.submit(again, "form[action='/reset']", map[string]string{"password": otherPassword}).wantRedirect("/login")
}

// TestWithoutAMailServerAnAddressIsConfirmedToo: emails are then written to files.
func TestWithoutAMailServerAnAddressIsConfirmedToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{})
	b := w.member(w.person("Ada"))
	page := b.get("/account").want(http.StatusOK).wantText(".overview strong", "not confirmed yet")
	b.submit(page, "form[action='/account/confirm']", nil).wantRedirect("/account")
	if sent := w.sendMail(); len(sent) != 1 {
		t.Errorf("%d emails, want the one to confirm the address", len(sent))
	}
}

// TestASessionDeletedFromTheStoreDidNotExpire: the list of past sessions says so.
func TestASessionDeletedFromTheStoreDidNotExpire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{})
	p := w.person("Ada")
	lost, b := w.member(p), w.member(p)
	require.NoError(t, w.store.Delete(t.Context(), session.Key(lost.token())))
	w.sql(`UPDATE devices SET created_ms = created_ms - 120000`) // a newer session may still be about to be stored
	b.get("/devices")
	if past := b.get("/devices").text(".past"); !strings.Contains(past, "Deleted from the session store") || strings.Contains(past, "Expired") {
		t.Errorf("past sessions: %q", past)
	}
}

func TestAPasswordThatIsNotGivenAgainIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{})
	b := w.member(w.person("Ada"))
	b.post("/account/proof", nil).want(http.StatusUnprocessableEntity).wantText("#password-error", "Enter your password.")
}

func TestTheAccountPageSaysWhenThePasswordWasSet(t *testing.T) {
	t.Parallel()
	onBothStacks(t, func(t *testing.T, w *world) {
		p := w.person("Ada")
		b := w.member(p)
		wantSet := func(want string) {
			t.Helper()
			if said := b.get("/account").want(http.StatusOK).text(".overview div:has(a[href='/account/password'])"); !strings.Contains(said, "Set "+want) {
				t.Errorf("the page says %q, want: set %s", said, want)
			}
		}
		w.clock.Advance(2 * time.Hour)
		wantSet("2 hours ago")
		b.post("/account/password", url.Values{"current": {p.password}, "new": {otherPassword}}).wantRedirect("/account")
		wantSet("just now")
		w.sql("DELETE FROM history WHERE event = 'password_changed'")
		wantSet("more than 90 days ago")
	})
}
