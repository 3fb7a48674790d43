package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"holdfast/internal/account"
	"holdfast/internal/dev/require"
	"holdfast/internal/text"
	"holdfast/web"
)

// TestDeletingAnAccountWhileItIsUsedFailsForNobody: data about a person is written
// before they are deleted, or not at all.
func TestDeletingAnAccountWhileItIsUsedFailsForNobody(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		for range 12 {
			p := w.person("Ada")
			b, other := w.member(p), w.member(p)
			var all sync.WaitGroup
			do := func(a func() *answer) {
				all.Go(func() {
					for range 3 {
						if a := a(); a.status >= http.StatusInternalServerError {
							t.Errorf("%s %s answered %d", a.request.Method, a.request.URL.Path, a.status)
						}
					}
				})
			}
			do(func() *answer { return w.browser().post("/login", credentials(p.email, wrongPassword)) })
			do(func() *answer { return w.browser().post("/login", credentials(p.email, p.password)) })
			do(func() *answer { return other.post("/account/email", url.Values{"email": {"new@kelp.example"}}) })
			do(func() *answer { return other.post("/account/name", url.Values{"name": {"Ada King"}}) })
			all.Go(func() { b.post("/account/delete", url.Values{"email": {p.email}}).wantRedirect("/") })
			all.Wait()
			w.wantRows(0, `SELECT id FROM people WHERE id = $1`, p.id)
		}
	})
}

// TestADeletedAccountLeavesNoCountedTryAndNoMail: a hash of an email address reveals
// whether someone with that address was here.
func TestADeletedAccountLeavesNoCountedTryAndNoMail(t *testing.T) {
	onBothStacksWith(t, options{mail: true, slow: true}, func(t *testing.T, w *world) {
		p, bob := w.person("Ada"), w.person("Bob")
		w.verify(p)
		b := w.known(p)
		b.withoutSession().post("/login", credentials(p.email, wrongPassword)).want(http.StatusUnprocessableEntity)
		w.browser().post("/login", credentials(p.email, wrongPassword)).want(http.StatusUnprocessableEntity)
		w.browser().post("/login", credentials(bob.email, wrongPassword)).want(http.StatusUnprocessableEntity)
		w.browser().post("/forgot", url.Values{"email": {p.email}}).wantRedirect("/login")
		b.post("/account/proof", url.Values{"password": {wrongPassword}}).want(http.StatusUnprocessableEntity)
		w.member(bob).post("/account/email", url.Values{"email": {strings.ToUpper(p.email)}}).wantRedirect("/account")

		of := []string{text.Hash(p.email), p.id}
		of = append(of, w.rows(`SELECT hash FROM browsers WHERE person_id = '`+p.id+`'`)...)
		counted := func(of string) bool {
			return len(w.rows(`SELECT key FROM throttle WHERE key LIKE '%`+of+`'`)) > 0
		}
		for _, of := range of {
			if !counted(of) {
				t.Fatalf("nothing is counted of %s", of)
			}
		}
		b.post("/account/delete", url.Values{"email": {p.email}}).wantRedirect("/")
		w.answersKeep(w.link(account.PurposeKeep, p), "delete").wantRedirect("/")
		for _, of := range of {
			if counted(of) {
				t.Errorf("tries of %s are still counted", of)
			}
		}
		if !counted(text.Hash(bob.email)) {
			t.Error("those of another person are not")
		}
		if rows := w.rows(`SELECT kind FROM outbox WHERE lower(recipient) = $1`, p.email); strings.Join(rows, " ") != "deleted" {
			t.Errorf("to the address wait %q", rows)
		}
	})
}

// TestDeletingAnAccountDoesNotFreeAMailboxThatWasNeverItsOwnOfItsGuard: otherwise
// someone who signs up with another person's address could delete the account and start
// over.
func TestDeletingAnAccountDoesNotFreeAMailboxThatWasNeverItsOwnOfItsGuard(t *testing.T) {
	w := parallelWorld(t, embedded, options{mail: true, slow: true})
	const victim = "victim@kelp.example"
	for tries := range 4 {
		a := w.signUp(victim)
		if tries == 3 {
			a.want(http.StatusTooManyRequests)
			break
		}
		b := w.browser()
		b.post("/login", credentials(victim, otherPassword)).wantRedirect("/profile")
		b.post("/account/delete", url.Values{"email": {victim}}).wantRedirect("/")
	}
}

func TestDeletingAnAccountAsksForItsAddress(t *testing.T) {
	w, p, b := withMember(t, embedded, options{})
	page := b.get("/account/delete").want(http.StatusOK)
	form := "form[action='/account/delete']"
	page.wantCount("#email[autocomplete=off]", 1)
	before := w.everything()
	for _, typed := range []string{"", "ada", w.person("Bea").email} {
		again := b.submit(page, form, map[string]string{"email": typed}).want(http.StatusUnprocessableEntity)
		if again.text("#email-error") == "" || again.count("#email[aria-invalid=true]") != 1 || again.value("#email") != typed {
			t.Errorf("%q: %s", typed, again.text("main"))
		}
	}
	w.wantUnchanged(before, "another address", "people") // Bea
	b.submit(page, form, map[string]string{"email": " " + strings.ToUpper(p.email)}).wantRedirect("/")
	w.wantRows(0, `SELECT id FROM people WHERE id = $1`, p.id)
}

// TestEveryClickOnDeleteGetsTheAnswerOfTheFirst: a browser shows the response to the
// last click.
func TestEveryClickOnDeleteGetsTheAnswerOfTheFirst(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		p := w.person("Ada")
		b, elsewhere := w.member(p), w.member(p)
		form := url.Values{"email": {p.email}, "account": {web.AccountValue(p.id)}}.Encode()
		click := func(cookie string) *answer {
			return w.bare(http.MethodPost, "/account/delete", form, append(w.sameOrigin(), "Content-Type: "+urlencoded, "Cookie: "+cookie)...)
		}
		wantFirst := func(a *answer) {
			t.Helper()
			if notice := a.wantRedirect("/").cookie("parting"); notice.Value != "deleted" {
				t.Errorf("the notice is %v", notice)
			}
		}
		old := w.sessions.CookieName() + "=" + b.token()
		var clicks sync.WaitGroup
		for range 3 {
			clicks.Go(func() { wantFirst(click(old)) })
		}
		clicks.Wait()
		wantFirst(click(old))
		wantFirst(click(w.sessions.CookieName() + "=" + elsewhere.token()))
		click("parting=deleted").wantRedirect("/")

		away := elsewhere.follow(elsewhere.get("/devices").wantRedirect("/login?next=%2Fdevices"))
		away.wantText(".notice", "Your account has been deleted, and you are logged out everywhere.")
		bea, left := w.newMember("Bea")
		ended := w.sessions.CookieName() + "=" + left.token()
		left.post("/logout", nil).wantRedirect("/login")
		for _, cookie := range []string{"", ended, w.sessions.CookieName() + "=" + text.NewToken()} {
			click(cookie).wantRedirect("/login?next=%2Faccount%2Fdelete")
		}
		w.wantRows(1, `SELECT id FROM people WHERE id = $1`, bea.id)
	})
}

func TestADeletedAccountLeavesNothingOfThePerson(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		p := w.person("Ada Nobody-Else")
		b, other := w.known(p), w.member(p)
		link := w.link(account.PurposeReset, p)
		w.sendMail()
		page := b.get("/account/delete").want(http.StatusOK)
		b.follow(b.submit(page, "form[action='/account/delete']", map[string]string{"email": p.email}).wantRedirect("/")).want(http.StatusOK).wantText(".notice", "Your account has been deleted, and you are logged out everywhere.")
		wantLoggedOut(b, other)
		w.browser().get("/reset?token=" + link).want(http.StatusGone)
		w.browser().post("/login", credentials(p.email, p.password)).want(http.StatusUnprocessableEntity)
		w.mailTo(p.email, "Your account was deleted")
		for key, value := range w.everything() {
			for _, mark := range []string{p.id, p.name, p.email, "Chrome"} {
				if strings.Contains(key+value, mark) {
					t.Errorf("%s still has %q: %.200s", key, mark, value)
				}
			}
		}
		w.wantRows(2, `SELECT session_key FROM revocations`)
	})
}

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
