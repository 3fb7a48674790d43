package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/web"
)

const (
	tellsClosing = "Your account will be deleted"
	closingSoon  = "Your account will be deleted in 7 days, unless you keep it with the link that we emailed you. " +
		"Until then no one can log in to it, and you are logged out everywhere."
)

// asksToDelete deletes an account whose address is confirmed, and returns the link in
// the email about it.
func (w *world) asksToDelete(p person) (b *browser, link, token string) {
	w.t.Helper()
	b = w.member(p)
	page := b.get("/account/delete").want(http.StatusOK)
	b.follow(b.submit(page, "form[action='/account/delete']", map[string]string{"email": p.email}).wantRedirect("/")).wantText(".notice", closingSoon)
	link = w.linkIn(w.mailTo(p.email, tellsClosing))
	_, token, _ = strings.Cut(link, "token=")
	return b, link, token
}

// deletesNow immediately deletes an account waiting to be deleted, with the latest
// emailed link.
func (w *world) deletesNow(email string) {
	w.t.Helper()
	_, token, _ := strings.Cut(w.linkIn(w.mailTo(email, tellsClosing)), "token=")
	w.answersKeep(token, "delete").wantRedirect("/")
}

func (w *world) answersKeep(token, action string) *answer {
	w.t.Helper()
	return w.browser().post("/verify", url.Values{"token": {token}, "action": {action}})
}

func (w *world) hasAccount(p person) bool {
	return len(w.rows(`SELECT id FROM people WHERE id = $1`, p.id)) == 1
}

// TestWhoKnowsOnlyThePasswordDeletesNoAccountForGood: the owner reads the email.
func TestWhoKnowsOnlyThePasswordDeletesNoAccountForGood(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		w.verify(p)
		other := w.member(p)
		thief := w.member(p)
		old := w.sessions.CookieName() + "=" + thief.token()
		form := url.Values{"email": {p.email}, "account": {web.AccountValue(p.id)}}
		thief.postWith("/account/delete", form.Encode(), w.sameOrigin()...).wantRedirect("/")
		again := w.bare(http.MethodPost, "/account/delete", form.Encode(),
			append(w.sameOrigin(), "Content-Type: "+urlencoded, "Cookie: "+old)...).wantRedirect("/")
		if got := again.cookie("parting").Value; got != "closing" {
			t.Errorf("the second click gets the notice %q", got)
		}

		other.follow(other.get("/profile").wantRedirect("/login?next=%2Fprofile")).
			wantText(".notice", "Your session has ended: someone asked to delete your account. Log in to continue.")
		for password, said := range map[string]string{
			p.password:    "This account is going to be deleted. To keep it, follow the link that we emailed you.",
			wrongPassword: "That email and password do not match.",
		} {
			w.browser().post("/login", credentials(p.email, password)).want(http.StatusUnprocessableEntity).wantText("#email-error", said)
		}
		w.browser().post("/forgot", url.Values{"email": {p.email}}).wantRedirect("/login")
		if got := w.emailed(p.email); got[tellsClosing] != 1 || got[asksReset] != 0 {
			t.Errorf("emails %v", got)
		}

		link := w.linkIn(w.mailTo(p.email, tellsClosing))
		_, token, _ := strings.Cut(link, "token=")
		owner := w.browser()
		for range 2 {
			owner.get(link).want(http.StatusOK).wantText("h1", "Keep your account?")
		}
		w.browser().post("/verify", url.Values{"token": {token}}).want(http.StatusGone) // neither button
		kept := owner.post("/verify", url.Values{"token": {token}, "action": {"keep"}}).want(http.StatusSeeOther)
		page := owner.follow(kept).want(http.StatusOK)
		page.wantText("h1", "Choose a new password").wantText(".notice", "Your account is kept. Now choose a new password, because someone else may know the old one.")
		owner.submit(page, "form[action='/reset']", map[string]string{"password": otherPassword}).wantRedirect("/login")
		owner.post("/login", credentials(p.email, otherPassword)).wantRedirect("/profile")
		w.answersKeep(token, "keep").want(http.StatusOK).wantText("h1", "Your account is kept") // a second click
		w.answersKeep(token, "delete").want(http.StatusGone)
		require.NoError(t, w.db.Tidy(t.Context()))
		if !w.hasAccount(p) {
			t.Error("the account is gone")
		}
	})
}

func TestALinkDeletesAnAccountBeforeItsTimeUnlessAChangeOfAddressCanBeUndone(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		ada, bea := w.person("Ada"), w.person("Bea")
		w.verify(ada)
		_, _, token := w.asksToDelete(ada)
		w.answersKeep(token, "delete").wantRedirect("/")
		if w.hasAccount(ada) {
			t.Error("the account is still there")
		}
		w.mailTo(ada.email, "Your account was deleted")
		w.answersKeep(token, "delete").want(http.StatusGone)

		w.verify(bea)
		w.moves(w.member(bea), "thief@kelp.example")
		undo := w.linkIn(w.mailTo(bea.email, tellsChange))
		bea.email = "thief@kelp.example"
		_, _, token = w.asksToDelete(bea)
		w.answersKeep(token, "delete").want(http.StatusConflict).wantText("h1", "Your account can’t be deleted yet")
		w.sql(`UPDATE people SET delete_after_ms = 1`)
		w.sql(`UPDATE links SET expires_ms = created_ms + 1 WHERE purpose = 'keep'`)
		require.NoError(t, w.db.Tidy(t.Context()))
		w.undoes(undo)
		w.wantRows(1, `SELECT id FROM people WHERE id = $1 AND delete_after_ms IS NULL`, bea.id)
	})
}

func TestAnAccountIsDeletedWhenItsTimeIsUp(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		p, bob := w.person("Ada"), w.person("Bob")
		w.verify(p)
		b := w.member(p)
		b.post("/account/delete", url.Values{"email": {p.email}}).wantRedirect("/")
		wantKept := func(because string) {
			t.Helper()
			require.NoError(t, w.db.Tidy(t.Context()))
			if !w.hasAccount(p) {
				t.Fatalf("deleted although %s", because)
			}
		}
		w.sql(`UPDATE people SET delete_after_ms = 1 WHERE delete_after_ms IS NOT NULL`)
		wantKept("the email waits")
		w.sendMail()
		wantKept("the link was emailed just now")
		w.sql(`UPDATE links SET expires_ms = created_ms + 1`)
		w.sql(`UPDATE people SET delete_after_ms = 4000000000000 WHERE delete_after_ms IS NOT NULL`)
		wantKept("its time is not up")
		w.sql(`UPDATE people SET delete_after_ms = 1 WHERE delete_after_ms IS NOT NULL`)
		require.NoError(t, w.db.Tidy(t.Context()))
		if w.hasAccount(p) || !w.hasAccount(bob) {
			t.Error("the account is there, or another one is not")
		}
	})
}

func TestAnOperatorDecidesAboutAnAccountThatWaitsToBeDeleted(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		w.verify(p)
		_, _, token := w.asksToDelete(p)
		_, err := w.accounts.SetDisabled(t.Context(), p.id, true)
		require.NoError(t, err)
		w.answersKeep(token, "keep").want(http.StatusSeeOther)
		if now, err := w.accounts.Find(t.Context(), p.id); err != nil || !now.Disabled || !now.DeleteAfter.IsZero() {
			t.Errorf("kept, but disabled by an operator: %+v, %v", now, err)
		}
		_, err = w.accounts.SetDisabled(t.Context(), p.id, false)
		require.NoError(t, err)

		_, _, token = w.asksToDelete(p)
		now, err := w.accounts.SetDisabled(t.Context(), p.id, false)
		if err != nil || now.Disabled || !now.DeleteAfter.IsZero() {
			t.Errorf("enabled by an operator: %+v, %v", now, err)
		}
		w.answersKeep(token, "delete").want(http.StatusGone)
		w.asksToDelete(p)
		require.NoError(t, w.accounts.Delete(t.Context(), p.id))
	})
}
