package web_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/internal/account"
)

// What strangers do does not delay anyone who has shown who they are.

func TestWhoSpendsAResetLinkLogsInWhateverStrangersGuess(t *testing.T) {
	t.Parallel()
	onBothStacksWith(t, options{mail: true, slow: true, trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		stranger, tries := w.browser(), 0
		guess := func() {
			for range 10 {
				tries++
				stranger.guess("/login", credentials(p.email, wrongPassword), tries)
			}
		}
		guess()
		b := w.browser()
		b.post("/login", credentials(p.email, p.password)).want(http.StatusTooManyRequests)
		b.post("/reset", url.Values{"token": {w.link(account.PurposeReset, p)}, "password": {otherPassword}}).wantRedirect("/login")
		guess()
		b.post("/login", credentials(p.email, otherPassword)).wantRedirect("/profile")
	})
}

func TestALinkIsNeverHeldUpByTokensThatAreNone(t *testing.T) {
	t.Parallel()
	onBothStacksWith(t, options{mail: true, slow: true}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		held := false
		for n := range 60 {
			path := []string{"/verify", "/reset"}[n%2]
			form := url.Values{"token": {strings.Repeat("x", 43)}}
			if path == "/reset" {
				form.Set("password", otherPassword)
			}
			held = w.browser().post(path, form).status == http.StatusTooManyRequests
		}
		if !held {
			t.Error("tokens that are none are tried without end")
		}
		w.browser().post("/verify", url.Values{"token": {w.link(account.PurposeConfirm, p)}}).wantRedirect("/login")
		w.browser().post("/reset", url.Values{"token": {w.link(account.PurposeReset, p)}, "password": {otherPassword}}).wantRedirect("/login")
	})
}

// TestASchoolSignsUpAndConfirms from one IP address.
func TestASchoolSignsUpAndConfirms(t *testing.T) {
	t.Parallel()
	for _, mail := range []bool{false, true} {
		w := newWorld(t, embedded(t), options{mail: mail, slow: true})
		for n := range 50 {
			form := url.Values{"name": {"Pupil"}, "email": {fmt.Sprintf("pupil%d@school.example", n)}, "password": {otherPassword}}
			if a := w.browser().post("/register", form); a.status != http.StatusSeeOther {
				t.Fatalf("sign-up %d, with email %t: %d", n+1, mail, a.status)
			}
		}
		for n, p := 0, w.person("Ada"); mail && n < 50; n++ {
			w.browser().post("/verify", url.Values{"token": {w.link(account.PurposeConfirm, p)}}).wantRedirect("/login")
		}
	}
}

// TestALoginDatedAheadIsNotRecent: the clock was two hours ahead and is now correct
// again.
func TestALoginDatedAheadIsNotRecent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{})
	w.clock.Advance(2 * time.Hour)
	b := w.member(w.person("Ada"))
	b.get("/account/delete").want(http.StatusOK)
	w.clock.Advance(-2 * time.Hour)
	b.get("/account/delete").wantRedirect("/account/proof?next=%2Faccount%2Fdelete")
}
