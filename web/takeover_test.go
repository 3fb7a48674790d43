package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/dev/require"
)

// signUp signs up a stranger with an address.
func (w *world) signUp(email string) *answer {
	return w.browser().post("/register", url.Values{"name": {"Mallory"}, "email": {email}, "password": {otherPassword}})
}

// without returns a response without what differs between requests.
func (a *answer) without(email string) string {
	headers := a.header.Clone()
	headers.Del("Date")
	body := strings.NewReplacer(email, "ADDRESS", url.QueryEscape(email), "ADDRESS").Replace(string(a.body))
	return fmt.Sprintf("%d %v %s", a.status, headers, body)
}

// takesOver gives an account another address, as a thief who knows the password does. If
// waits is true, the email to the former address is delayed until release.
func (w *world) takesOver(p person, waits bool) (thief *browser, address string, release func()) {
	w.t.Helper()
	thief, address = w.member(p), "thief-of-"+p.email
	w.moves(thief, address)
	if waits {
		return thief, address, w.holdMail(p.email)
	}
	w.sendMail()
	return thief, address, func() {}
}

// TestAnAddressThatCanBeTakenBackIsTakenForEverybodyElse: someone who used the address
// in the meantime, which needs no mailbox, would block its owner.
func TestAnAddressThatCanBeTakenBackIsTakenForEverybodyElse(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		for _, waits := range []bool{false, true} { // whether the email to the former address is delayed
			p, bob := w.person("Ada"), w.person("Bob")
			thief, _, release := w.takesOver(p, waits)
			thief.post("/account/name", url.Values{"name": {"Call 0800 123456"}}).wantRedirect("/account")
			if kept, taken := w.signUp(strings.ToUpper(p.email)), w.signUp(bob.email); kept.without(strings.ToUpper(p.email)) != taken.without(bob.email) {
				t.Errorf("an address that is kept can be distinguished from a taken one:\n%s\n%s", kept.without(p.email), taken.without(bob.email))
			}
			w.browser().post("/login", credentials(p.email, otherPassword)).want(http.StatusUnprocessableEntity)
			got := w.mailTo(p.email, tellsTaken)
			if !strings.Contains(strings.Join(strings.Fields(got.Text), " "), "can still take it back, so no account was created") || strings.Contains(got.Text, "0800") || linkLine.MatchString(got.Text) {
				t.Errorf("the email to the owner says %q", got.Text)
			}

			member := w.member(bob)
			member.post("/account/email", url.Values{"email": {p.email}}).wantRedirect("/account")
			if got := w.mailTo(p.email, tellsTaken); !strings.Contains(strings.Join(strings.Fields(got.Text), " "), "can still take it back, so nothing was changed") {
				t.Errorf("the email to the owner says %q", got.Text)
			}
			token, err := w.accounts.MakeLink(t.Context(), account.PurposeChange, bob.id, p.email)
			require.NoError(t, err)
			member.post("/verify", url.Values{"token": {token}}).want(http.StatusConflict)
			member.get("/verify?token=" + token).want(http.StatusOK) // nothing has used it

			release()
			w.undoes(w.linkIn(w.mailTo(p.email, tellsChange)))
			w.resets(p.email, "nine otters share a kettle")
			w.browser().post("/login", credentials(p.email, "nine otters share a kettle")).wantRedirect("/profile")
		}
	})
}

func TestAnAddressThatCanBeTakenBackIsTakenWithoutMailToo(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	p, bob := w.person("Ada"), w.person("Bob")
	w.moves(w.member(p), "thief@kelp.example")
	kept, taken := w.signUp(p.email), w.signUp(bob.email)
	kept.want(http.StatusUnprocessableEntity)
	if kept.without(p.email) != taken.without(bob.email) {
		t.Errorf("an address that is kept can be distinguished from a taken one:\n%s\n%s", kept.without(p.email), taken.without(bob.email))
	}
	w.undoes(w.linkIn(w.mailTo(p.email, tellsChange)))
}

// TestAnAddressIsFreeWhenTheWayBackToItIsOver: it is reserved for 7 days and no longer,
// and the account that had it may use it.
func TestAnAddressIsFreeWhenTheWayBackToItIsOver(t *testing.T) {
	onBothStacksWith(t, options{}, func(t *testing.T, w *world) {
		p, other := w.person("Ada"), w.person("Bob")
		b := w.member(p)
		w.moves(b, "second@kelp.example")
		w.moves(b, p.email)
		w.moves(w.member(other), "third@kelp.example")
		w.sendMail()
		w.clock.Advance(account.UndoLife - time.Minute)
		w.signUp(other.email).want(http.StatusUnprocessableEntity)
		w.clock.Advance(2 * time.Minute)
		w.signUp(other.email).wantRedirect("/profile")
	})
}

// TestNobodysMailboxIsFloodedWithNoticesOfAnAccount: someone who signs up with an
// address needs no mailbox, and can log in and change the password without limit.
func TestNobodysMailboxIsFloodedWithNoticesOfAnAccount(t *testing.T) {
	onBothStacksWith(t, options{mail: true, slow: true}, func(t *testing.T, w *world) {
		const victim = "victim@kelp.example"
		w.signUp(victim).wantRedirect("/login")
		p := w.person("Ada")
		w.verify(p)
		for email, password := range map[string]string{victim: otherPassword, p.email: p.password} {
			var b *browser
			for range 12 {
				b = w.browser() // one without cookies
				b.post("/login", credentials(email, password)).wantRedirect("/profile")
			}
			w.sendMail() // a new password withdraws the waiting emails
			for range 6 {
				fresh := password + "."
				b.post("/account/password", url.Values{"current": {password}, "new": {fresh}}).wantRedirect("/account")
				password = fresh
			}
			got := w.rows(`
SELECT h.event
FROM history h
JOIN people p ON p.id = h.person_id
WHERE p.email = $1
  AND h.event IN ('password_changed', 'log_in_new_browser')`, email)
			if len(got) != 12+6 {
				t.Errorf("%s: the history has %q", email, got)
			}
		}
		if got := w.emailed(victim); got[asksConfirm] != 1 || got[tellsLogIn]+got[tellsPassword] != 1 {
			t.Errorf("an address that is not confirmed got %v", got)
		}
		if got := w.emailed(p.email); got[tellsLogIn] != 3 || got[tellsPassword] != 3 {
			t.Errorf("an address that is confirmed got %v", got)
		}
		w.clock.Advance(time.Hour)
		w.browser().post("/login", credentials(victim, otherPassword+"......")).wantRedirect("/profile")
		if got := w.emailed(victim); got[tellsLogIn]+got[tellsPassword] != 2 {
			t.Errorf("after an hour, %v", got)
		}
	})
}

// verify confirms a person's address.
func (w *world) verify(p person) {
	w.t.Helper()
	w.browser().post("/verify", url.Values{"token": {w.link(account.PurposeConfirm, p)}}).wantRedirect("/login")
}

// TestStrangersDoNotKeepAnOwnerFromTheMailThatResetsThePassword: what strangers can
// request with another person's address is counted separately, and each request counted
// for the reset has emailed the owner a link.
func TestStrangersDoNotKeepAnOwnerFromTheMailThatResetsThePassword(t *testing.T) {
	onBothStacksWith(t, options{mail: true, slow: true}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		stranger := w.member(w.person("Bob"))
		for n, ask := range []func() *answer{
			func() *answer { return w.signUp(p.email) },
			func() *answer { return stranger.post("/account/email", url.Values{"email": {p.email}}) },
		} {
			for tries := 0; ask().status != http.StatusTooManyRequests; tries++ {
				if tries > 5 {
					t.Fatalf("request %d is not held", n)
				}
			}
		}
		forgot := func() int { return w.browser().post("/forgot", url.Values{"email": {p.email}}).status }
		for range 3 {
			if status := forgot(); status != http.StatusSeeOther {
				t.Fatalf("the owner's own try is answered with %d", status)
			}
		}
		if status := forgot(); status != http.StatusTooManyRequests {
			t.Errorf("the fourth mail in a moment is answered with %d", status)
		}
		if got := w.emailed(p.email); got[asksReset] != 3 {
			t.Errorf("emailed: %v", got)
		}
		w.browser().get(w.linkIn(w.mailTo(p.email, asksReset))).want(http.StatusOK)
	})
}

func TestAnAddressIsChangedByTheNewOneAndRestoredByTheOld(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		p, other := w.person("Ada"), w.person("Bob")
		b := w.member(p)
		free := b.submit(b.get("/account/email").want(http.StatusOK), "form[action='/account/email']", map[string]string{"email": "new@kelp.example"}).wantRedirect("/account")
		taken := b.post("/account/email", url.Values{"email": {other.email}}).wantRedirect("/account")
		if string(free.body) != string(taken.body) || len(free.cookies) != len(taken.cookies) {
			t.Error("the response reveals whether an address is taken")
		}
		w.mailTo(other.email, "Someone tried to use your email address")
		link := w.linkIn(w.mailTo("new@kelp.example", "Confirm your new email address"))
		w.browser().post("/login", credentials("new@kelp.example", p.password)).want(http.StatusUnprocessableEntity)
		w.browser().get(link).want(http.StatusOK).wantText("main strong", "new@kelp.example")
		b.submit(b.get(link), "form[action='/verify']", nil).wantRedirect("/account")
		b.get(link).want(http.StatusOK).wantText("h1", "Your email address is confirmed")
		w.browser().post("/login", credentials("new@kelp.example", p.password)).wantRedirect("/profile")
		w.browser().post("/login", credentials(p.email, p.password)).want(http.StatusUnprocessableEntity)

		// Someone who took over the account cannot prevent the undo.
		b.post("/account/password", url.Values{"current": {p.password}, "new": {otherPassword}}).wantRedirect("/account")
		undo := w.linkIn(w.mailTo(p.email, "Your email address was changed"))
		w.clock.Advance(6 * 24 * time.Hour)
		owner := w.browser()
		undone := owner.submit(owner.get(undo).want(http.StatusOK), "form[action='/verify']", nil).wantReset()
		wantLoggedOut(b)
		w.browser().post("/login", credentials("new@kelp.example", otherPassword)).want(http.StatusUnprocessableEntity)
		for _, known := range []string{p.password, otherPassword} {
			w.browser().post("/login", credentials(p.email, known)).want(http.StatusUnprocessableEntity)
		}
		owner.submit(owner.follow(undone), "form[action='/reset']", map[string]string{"password": "nine otters share a kettle"}).wantRedirect("/login")
		owner.post("/login", credentials(p.email, "nine otters share a kettle")).wantRedirect("/profile")
	})
}
