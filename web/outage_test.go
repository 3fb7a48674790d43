package web_test

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/dev/require"
	"holdfast/internal/session"
	"holdfast/internal/text"
)

// An account change revokes sessions in the database. If the session store is
// unavailable at that moment, they are deleted from it when it is back, before it is
// trusted.
func TestWhatAChangeHasEndedStaysEndedThroughAnOutageOfTheStore(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(w *world, p person) error{
		"password": func(w *world, p person) error {
			_, err := w.accounts.ChangePassword(w.t.Context(), p.id, account.PasswordChange{Current: p.password, New: otherPassword})
			return err
		},
		"deletion": func(w *world, p person) error {
			_, _, err := w.accounts.Close(w.t.Context(), p.id, p.email, false, text.Sender{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, privateServices(t), options{redisTimeout: time.Second})
			p, bystander := w.person("Ada"), w.member(w.person("Bob"))
			b := w.member(p)
			w.stores.redis.Pause()
			require.NoError(t, change(w, p))
			if err := w.sessions.Revoke(t.Context(), w.db.Revocations()); !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("with the store away: %v", err)
			}
			if waiting := w.rows(`SELECT session_key FROM revocations WHERE removed_ms IS NULL`); len(waiting) != 1 {
				t.Errorf("%d sessions wait to be removed, want 1", len(waiting))
			}
			w.stores.redis.Resume()
			w.well()
			bystander.get("/profile").want(http.StatusOK)
			b.get("/profile").wantRedirect("/login?next=%2Fprofile")
			if err := w.sessions.Revoke(t.Context(), w.db.Revocations()); err != nil {
				t.Error(err)
			}
			if waiting := w.rows(`SELECT session_key FROM revocations WHERE removed_ms IS NULL`); len(waiting) != 0 {
				t.Errorf("%d sessions still wait", len(waiting))
			}
		})
	}
}

// stored returns the account data in the database.
func (w *world) stored() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for _, table := range []string{"people", "links", "outbox", "history", "devices", "revocations"} {
		all[table] = strings.Join(w.rows(`SELECT * FROM `+table), "\n")
	}
	return all
}

// redisFaults returns pairs of functions: one makes Redis unavailable before a request,
// the other restores it.
func (w *world) redisFaults() map[string][2]func() {
	return map[string][2]func(){
		"hanging": {w.stores.redis.Pause, w.stores.redis.Resume},
		"stopped": {func() { w.do("SAVE"); w.stores.redis.Stop() }, func() { w.stores.redis.Start(); w.past = nil }},
	}
}

// While Redis is unavailable, the site does not know who is logged in, so it does
// nothing.
func TestNoChangeOfAnAccountIsBegunWhileTheStoreOfSessionsIsAway(t *testing.T) {
	t.Parallel()
	w := impatient(t)
	for name, fault := range w.redisFaults() {
		p := w.person("Ada")
		b, link := w.member(p), w.link(account.PurposeConfirm, p)
		before := w.stored()
		fault[0]()
		var all sync.WaitGroup
		for path, form := range map[string]url.Values{
			"/account/password": {"current": {p.password}, "new": {otherPassword}},
			"/account/email":    {"email": {"new@kelp.example"}},
			"/account/confirm":  {},
			"/account/delete":   {"email": {p.email}},
			"/account/proof":    {"password": {p.password}},
			"/account/name":     {"name": {"Eve"}},
			"/verify":           {"token": {link}},
			"/reset":            {"token": {link}, "password": {otherPassword}},
			"/register":         {"name": {"Eve"}, "email": {"eve@kelp.example"}, "password": {sharedPassword}},
			"/forgot":           {"email": {p.email}},
		} {
			all.Go(func() { b.post(path, form).wantSaid("We can’t look up sessions right now") })
		}
		all.Wait()
		if after := w.stored(); !maps.Equal(before, after) {
			t.Errorf("%s: stored %v, before %v", name, after, before)
		}
		fault[1]()
		w.well()
		b.post("/verify", url.Values{"token": {link}}).wantRedirect("/account")
	}
}

// A guest's request needs no session store. What a link allows is done completely, and
// the sessions that it revokes are deleted when the store is back. Until then another
// instance may accept them, so the page does not say that all of them have ended.
func TestALinkWorksWhileTheStoreOfSessionsIsAway(t *testing.T) {
	t.Parallel()
	w := impatient(t)
	for name, fault := range w.redisFaults() {
		reset, moved := w.person("Ada"), w.person("Bob")
		ofReset, ofMoved := w.member(reset), w.member(moved)
		token, undo := w.link(account.PurposeReset, reset), w.link(account.PurposeUndo, moved)
		fault[0]()
		b := w.browser()
		page := b.follow(b.post("/reset", url.Values{"token": {token}, "password": {otherPassword}}).wantRedirect("/login"))
		wantLater := func(page *answer, done string) {
			if got := page.notices(); len(got) != 1 || !strings.HasPrefix(got[0], done) || !strings.Contains(got[0], ", or will be in a moment.") {
				t.Errorf("%s: the notices are %q", name, got)
			}
		}
		wantLater(page, "Your password has been changed")
		b = w.browser()
		page = b.follow(b.post("/verify", url.Values{"token": {undo}}).wantReset())
		wantLater(page, "The change was undone")
		w.browser().post("/login", credentials(reset.email, otherPassword)).wantSaid("We couldn’t log you in")
		fault[1]()
		w.well()
		for _, out := range []*browser{ofReset, ofMoved} {
			out.get("/profile").wantRedirect("/login?next=%2Fprofile")
		}
		w.browser().post("/login", credentials(reset.email, reset.password)).want(http.StatusUnprocessableEntity)
		w.browser().post("/login", credentials(reset.email, otherPassword)).wantRedirect("/profile")
	}
}

// TestAChangeMadeBeforeTheSessionCouldBeStoredIsSaidToBe: Redis responds to reads, and
// refuses or delays writes.
func TestAChangeMadeBeforeTheSessionCouldBeStoredIsSaidToBe(t *testing.T) {
	t.Parallel()
	w := impatient(t)
	for name, fault := range map[string][2]func(){
		"refused": {func() { w.do("CONFIG", "SET", "maxmemory", "1") }, func() { w.do("CONFIG", "SET", "maxmemory", "0") }},
		"held-up": {func() { w.do("CLIENT", "PAUSE", "60000", "WRITE") }, func() { w.do("CLIENT", "UNPAUSE") }},
	} {
		during := func(b *browser, path string, form url.Values) (a *answer) {
			for range 10 {
				fault[0]()
				a = b.post(path, form)
				fault[1]()
				w.well()
				if !strings.Contains(string(a.body), notRead) {
					break
				}
			}
			return a
		}
		p := w.person("Ada")
		b, other := w.member(p), w.member(p)
		during(b, "/account/email", url.Values{"email": {name + "@kelp.example"}}).wantSaid("An email is on its way")
		during(b, "/account/confirm", nil).wantSaid("An email is on its way")
		if letters := w.rows(`SELECT kind FROM outbox WHERE about = $1`, p.id); len(letters) != 2 {
			t.Errorf("%s: letters %q", name, letters)
		}
		during(b, "/account/password", url.Values{"current": {p.password}, "new": {otherPassword}}).wantSaid("Your password has been changed")
		other.get("/profile").wantRedirect("/login?next=%2Fprofile")
		w.browser().post("/login", credentials(p.email, p.password)).want(http.StatusUnprocessableEntity)
		again := w.browser()
		again.post("/login", credentials(p.email, otherPassword)).wantRedirect("/profile")

		link := w.link(account.PurposeConfirm, p)
		during(again, "/verify", url.Values{"token": {link}}).wantRedirect("/account")
		again.get("/verify?token="+link).want(http.StatusOK).wantText("h1", "Your email address is confirmed")

		deleted := during(again, "/account/delete", url.Values{"email": {p.email}})
		if deleted.status != http.StatusSeeOther {
			deleted.wantSaid("Your account has been deleted")
		}
		again.get("/profile").wantRedirect("/login?next=%2Fprofile")
		if left := w.rows(`SELECT id FROM people WHERE id = $1`, p.id); len(left) != 0 {
			t.Errorf("%s: %q is left", name, left)
		}
	}
}
