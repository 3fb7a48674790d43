package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/dev/require"
	"holdfast/internal/session"
	"holdfast/internal/text"
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
	w, _, b := withMember(t, embedded, options{})
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
	w, _, b := withMember(t, embedded, options{})
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

func (a *answer) events() []string { return a.texts(".ended b") }

// TestTheHistoryTellsOfASessionThatExpiredOnce: no one ended it, so nothing was written
// when it expired.
func TestTheHistoryTellsOfASessionThatExpiredOnce(t *testing.T) {
	t.Parallel()
	for name, expire := range map[string]func(w *world){
		"not used for a day": func(w *world) {},
		"at the end of its lifetime": func(w *world) {
			w.sql(`UPDATE devices SET deadline_ms = created_ms + 1000`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			onBothStacksWith(t, options{}, func(t *testing.T, w *world) {
				p := w.person("Ada")
				gone := w.browser()
				gone.agent = "Mozilla/5.0 (Windows NT 10.0; rv:128.0) Gecko/20100101 Firefox/128.0"
				gone.logIn(p, "").wantRedirect("/profile")
				// The database's clock cannot be set, so the row is made a day older.
				w.sql(`UPDATE devices SET created_ms = created_ms - $1`, sessionIdle.Milliseconds())
				expire(w)
				w.clock.Advance(sessionIdle + time.Minute)
				wantLoggedOut(gone)
				here := w.member(p)
				for range 2 {
					page := here.get("/account/history").want(http.StatusOK)
					if events := page.events(); len(events) != 2 || (events[0] == "A session expired or was lost") == (events[1] == "A session expired or was lost") {
						t.Errorf("history %q", events)
					}
				}
				w.member(w.person("Bob")).get("/account/history").wantCount(".ended b", 0)
			})
		})
	}
}

func TestTheHistoryTellsWhatHappenedAPageAtATime(t *testing.T) {
	onBothStacksWith(t, options{}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		b := w.browser()
		b.agent = `<script>alert(1)</script> Firefox`
		for _, act := range []func(){
			func() {
				w.browser().post("/login", credentials(p.email, wrongPassword)).want(http.StatusUnprocessableEntity)
			},
			func() { b.logIn(p, "").wantRedirect("/profile") },
			func() { w.member(p) },
			func() { b.post("/devices/end-others", nil).wantRedirect("/devices") },
			func() { b.post("/account/name", url.Values{"name": {"Ada King"}}).wantRedirect("/account") },
			func() {
				b.post("/account/proof", url.Values{"password": {wrongPassword}}).want(http.StatusUnprocessableEntity)
			},
			func() { b.post("/account/proof", url.Values{"password": {p.password}}).wantRedirect("/account") },
			func() {
				b.post("/account/password", url.Values{"current": {p.password}, "new": {otherPassword}}).wantRedirect("/account")
			},
			func() { b.logOut() },
			func() { b.post("/login", credentials(p.email, otherPassword)).wantRedirect("/profile") },
		} {
			act()
			w.clock.Advance(time.Second)
		}
		got := b.get("/account/history").want(http.StatusOK).events()
		want := "Logged in|Logged out|Password changed|Password confirmed|Wrong password entered while logged in|Name changed|" +
			"Logged out all other devices|Logged in from a new browser|Failed login: wrong password"
		if strings.Join(got, "|") != want {
			t.Errorf("history %q", got)
		}
		for range 40 {
			require.NoError(t, w.accounts.Audit(t.Context(), p.id, account.EventLogIn, text.Sender{}))
		}
		first := b.get("/account/history").want(http.StatusOK)
		second := b.get(first.doc().Find("a[rel=next]").AttrOr("href", "")).want(http.StatusOK)
		if n := first.count(".ended li") + second.count(".ended li"); n != 49 {
			t.Errorf("%d events on two pages, want 49", n)
		}
		w.member(w.person("Bob")).get("/account/history").want(http.StatusOK).wantText(".ended", "").wantText(".empty", "Nothing to show yet.")

		for _, days := range []int64{89, 91} {
			want := map[int64]int{89: 49, 91: 0}[days]
			w.sql(`UPDATE history SET at_ms = $1`, time.Now().Add(-time.Duration(days)*24*time.Hour).UnixMilli())
			require.NoError(t, w.db.Tidy(t.Context()))
			w.wantRows(want, `SELECT id FROM history`)
		}
	})
}
