package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/product"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
	"holdfast/web"
)

// wantOver opens a page for members with the cookie of a session that has ended, and
// checks what the login page says about it.
func (b *browser) wantOver(want string) {
	b.w.t.Helper()
	login := b.follow(b.get("/profile").wantRedirect("/login?next=%2Fprofile"))
	login.want(http.StatusOK).wantText("h1", "Log in").wantNotices(want)
}

func TestSomeoneWhoseSessionEndedIsToldSo(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		p := w.person("Ada")
		for _, c := range []struct {
			how  string
			end  func(b *browser)
			want string
		}{
			{"from another device", func(*browser) {
				other := w.member(p)
				other.post("/devices/end-others", nil).wantRedirect("/devices")
			}, "Your session has ended: it was logged out from another device. Log in to continue."},
			{"by the operator", func(*browser) {
				_, err := w.sessions.RevokeAllOf(t.Context(), p.id, session.RevokedByOperator)
				require.NoError(t, err)
			}, "Your session has ended: an administrator ended it. Log in to continue."},
			{"by a store that lost it", func(b *browser) { w.do("DEL", storedUnder(b.token())) },
				"Your session has ended. Log in to continue."},
			{"by disuse", func(*browser) { w.clock.Advance(sessionIdle + time.Minute) },
				"Your session has ended: it was idle for too long. Log in to continue."},
			{"by a store that let it expire", func(b *browser) {
				w.clock.Advance(sessionIdle + time.Minute)
				w.do("DEL", storedUnder(b.token()))
			}, "Your session has ended: it was idle for too long. Log in to continue."},
			// Last: it leaves the clock days ahead of the database's.
			{"by age", func(b *browser) {
				for range 7 {
					w.clock.Advance(23 * time.Hour)
					b.get("/profile").want(http.StatusOK)
				}
				w.clock.Advance(8 * time.Hour)
			}, "Your session has ended: it reached its maximum age. Log in to continue."},
		} {
			b := w.member(p)
			t.Log("ended " + c.how)
			c.end(b)
			b.wantOver(c.want)
			b.get("/login").wantNotices() // it appears once, not whenever the login page is opened
			b.logIn(p, "/devices").wantRedirect("/devices")
			b.get("/profile").want(http.StatusOK)
		}
	})
}

func TestAStrangerLearnsNothingOfSessions(t *testing.T) {
	w, p, gone := withMember(t, embedded, options{})
	gone.post("/logout", nil).wantRedirect("/login")
	for what, cookie := range map[string]string{
		"no cookie": "", "an invented token": strings.Repeat("A", 43), "no token": "x",
		"the stored name of a session": storedUnder(w.member(p).token())[len("holdfast:session:"):],
	} {
		headers := []string{"Sec-Fetch-Site: none"}
		if cookie != "" {
			headers = append(headers, "Cookie: "+product.SessionCookie+"="+cookie)
		}
		t.Log("with " + what)
		w.bare("GET", "/profile", "", headers...).wantRedirect("/login?next=%2Fprofile").wantNoCookie()
	}
	// A flash cookie shows one of our messages or none.
	for _, code := range []string{"ended", "ended.<b>", "ended.disabled", "kelp"} {
		page := w.bare("GET", "/login", "", "Cookie: parting="+code)
		for _, said := range page.notices() {
			if said != "Your session has ended. Log in to continue." {
				t.Errorf("parting=%s: %q", code, said)
			}
		}
	}
}

func TestWhatWasTypedComesAlongThroughTheLogIn(t *testing.T) {
	w, p, b := withMember(t, embedded, options{})
	form := b.get("/account")
	w.member(p).post("/devices/end-others", nil).wantRedirect("/devices")
	sent := b.submit(form, "form[action='/account/name']", map[string]string{"name": "Ada & Söhne"})
	login := b.follow(sent.wantRedirect("/login?next=" + url.QueryEscape("/account?account="+web.AccountValue(p.id)+"&name=Ada+%26+S%C3%B6hne")))
	login.wantNotice("Your session has ended: it was logged out from another device.")
	page := b.follow(b.submit(login, "form[action='/login']", map[string]string{"email": p.email, "password": p.password}))
	page.wantValue("#name", "Ada & Söhne")
	b.get("/profile").wantText("h1", "Hello, Ada!") // showing it changed nothing
	// An unknown field, and a value too long to keep.
	guest := w.browser()
	guest.post("/account/name", url.Values{"name": {"x"}, "password": {sharedPassword}}).wantRedirect("/login?next=%2Faccount")
	guest.post("/account/name", url.Values{"name": {strings.Repeat("é", 1000)}}).wantRedirect("/login?next=%2Faccount")
}

// A value that a program sets without loading a page is still set, for a guest. The
// next page says that it was not set for the person.
func TestAValueSetWithAnEndedSessionIsSaidToBeAGuests(t *testing.T) {
	w, p, b := withMember(t, embedded, options{})
	w.member(p).post("/devices/end-others", nil).wantRedirect("/devices")
	page := b.follow(b.post("/session", url.Values{"key": {"note"}, "value": {"kelp"}, "action": {"set"}}).wantRedirect("/session"))
	page.wantPart("[role=status] .notice", "note has been set.").wantPart("[role=status] .notice", "Your session has ended: it was logged out from another device.")
}

// With sessions in memory, a session that is not there was lost in a restart, or is in
// another server's memory.
func TestAServersMemorySaysThatASessionIsNotThere(t *testing.T) {
	w, _, b := withMember(t, embedded, options{store: store.KindMemory})
	w.restart()
	b.wantOver("This server keeps sessions in its own memory, and no longer has yours. Log in to continue.")
}
