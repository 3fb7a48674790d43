package web_test

import (
	"errors"
	"fmt"
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
			w := parallelWorld(t, privateServices, options{redisTimeout: 3 * time.Second})
			p, bystander := w.person("Ada"), w.member(w.person("Bob"))
			b := w.member(p)
			w.stores.redis.Pause()
			require.NoError(t, change(w, p))
			if err := w.sessions.Revoke(t.Context(), w.db.Revocations()); !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("with the store away: %v", err)
			}
			w.wantRows(1, `SELECT session_key FROM revocations WHERE removed_ms IS NULL`)
			w.stores.redis.Resume()
			w.well()
			bystander.get("/profile").want(http.StatusOK)
			wantLoggedOut(b)
			require.NoError(t, w.sessions.Revoke(t.Context(), w.db.Revocations()))
			w.wantRows(0, `SELECT session_key FROM revocations WHERE removed_ms IS NULL`)
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
	w := impatient(t)
	for _, fault := range w.redisFaults() {
		reset, moved := w.person("Ada"), w.person("Bob")
		ofReset, ofMoved := w.member(reset), w.member(moved)
		token, undo := w.link(account.PurposeReset, reset), w.link(account.PurposeUndo, moved)
		fault[0]()
		b := w.browser()
		page := b.follow(b.post("/reset", url.Values{"token": {token}, "password": {otherPassword}}).wantRedirect("/login"))
		later := ", or will be in a moment."
		page.wantNotice("Your password has been changed").wantPart("[role=status] .notice", later)
		b = w.browser()
		page = b.follow(b.post("/verify", url.Values{"token": {undo}}).wantReset())
		page.wantNotice("The change was undone").wantPart("[role=status] .notice", later)
		w.browser().post("/login", credentials(reset.email, otherPassword)).wantSaid("We couldn’t log you in")
		fault[1]()
		w.well()
		wantLoggedOut(ofReset, ofMoved)
		w.browser().post("/login", credentials(reset.email, reset.password)).want(http.StatusUnprocessableEntity)
		w.browser().post("/login", credentials(reset.email, otherPassword)).wantRedirect("/profile")
	}
}

// TestAChangeMadeBeforeTheSessionCouldBeStoredIsSaidToBe: Redis responds to reads, and
// refuses or delays writes.
func TestAChangeMadeBeforeTheSessionCouldBeStoredIsSaidToBe(t *testing.T) {
	w := impatient(t)
	for name, fault := range map[string][2]func(){
		"refused": {w.full, w.roomy},
		"held-up": {w.holdWrites, w.goOn},
	} {
		during := func(b *browser, path string, form url.Values) *answer {
			return w.during(fault, func() *answer { return b.post(path, form) })
		}
		p := w.person("Ada")
		b, other := w.member(p), w.member(p)
		during(b, "/account/email", url.Values{"email": {name + "@kelp.example"}}).wantSaid("An email is on its way")
		during(b, "/account/confirm", nil).wantSaid("An email is on its way")
		w.wantRows(2, `SELECT kind FROM outbox WHERE about = $1`, p.id)
		during(b, "/account/password", url.Values{"current": {p.password}, "new": {otherPassword}}).wantSaid("Your password has been changed")
		wantLoggedOut(other)
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
		wantLoggedOut(again)
		w.wantRows(0, `SELECT id FROM people WHERE id = $1`, p.id)
	}
}

// TestARequestEndsItsOwnSessionsAndLeavesOthersToTheWorker: the session store was
// unavailable for a while, and many revocations are queued.
func TestARequestEndsItsOwnSessionsAndLeavesOthersToTheWorker(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(w *world, b *browser, p person){
		"a change of password": func(_ *world, b *browser, p person) {
			b.post("/account/password", url.Values{"current": {p.password}, "new": {otherPassword}}).wantRedirect("/account")
		},
		"a reset": func(w *world, _ *browser, p person) {
			w.sets(w.browser(), "/reset?token="+w.link(account.PurposeReset, p), otherPassword)
		},
		"an undone change of address": func(w *world, b *browser, p person) {
			w.moves(b, "new@kelp.example")
			w.undoes(w.linkIn(w.mailTo(p.email, tellsChange)))
		},
		"a deletion": func(_ *world, b *browser, p person) {
			b.post("/account/delete", url.Values{"email": {p.email}}).wantRedirect("/")
		},
		"a deletion that waits": func(w *world, b *browser, p person) {
			w.verify(p)
			b.post("/account/delete", url.Values{"email": {p.email}}).wantRedirect("/")
		},
	} {
		t.Run(name, func(t *testing.T) {
			onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
				const backlog = 250
				rows := make([]string, backlog)
				for n := range rows {
					now := w.clock.Now().UnixMilli()
					rows[n] = fmt.Sprintf("('%043d', %d, %d)", n, now-int64(n), now+3_600_000)
				}
				w.sql(`INSERT INTO revocations (session_key, ended_ms, deadline_ms) VALUES ` + strings.Join(rows, ", "))
				waiting := func() int {
					return len(w.rows(`SELECT session_key FROM revocations WHERE removed_ms IS NULL`))
				}
				p := w.person("Ada")
				b, others := w.member(p), []*browser{w.member(p), w.member(p)}
				change(w, b, p)
				wantLoggedOut(others...)
				if n := waiting(); n != backlog {
					t.Errorf("%d sessions wait to be removed, want those %d that the request did not end", n, backlog)
				}
				require.NoError(t, w.sessions.Revoke(t.Context(), w.db.Revocations()))
				if n := waiting(); n != 0 {
					t.Errorf("the worker left %d", n)
				}
			})
		})
	}
}
