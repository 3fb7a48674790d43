package web_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/dev/require"
	"holdfast/internal/text"
)

// moves changes the email address of the account that b is logged in to.
func (w *world) moves(b *browser, to string) {
	w.t.Helper()
	b.post("/account/email", url.Values{"email": {to}}).wantRedirect("/account")
	b.submit(b.get(w.linkIn(w.mailTo(to, asksChange))), "form[action='/verify']", nil).wantRedirect("/account")
}

// resets chooses a new password as someone who reads the emails of an address.
func (w *world) resets(email, password string) {
	w.t.Helper()
	b := w.browser()
	b.post("/forgot", url.Values{"email": {email}}).wantRedirect("/login")
	w.sets(b, w.linkIn(w.mailTo(email, asksReset)), password)
}

func (w *world) sets(b *browser, link, password string) {
	w.t.Helper()
	b.submit(b.get(link).want(http.StatusOK), "form[action='/reset']", map[string]string{"password": password}).wantRedirect("/login")
}

// undoes uses a link that restores a former address.
func (w *world) undoes(link string) {
	w.t.Helper()
	b := w.browser()
	b.submit(b.get(link).want(http.StatusOK), "form[action='/verify']", nil).wantReset()
}

// wantReset checks that the response redirects to the form for a new password.
func (a *answer) wantReset() *answer {
	a.t.Helper()
	if a.want(http.StatusSeeOther); !strings.HasPrefix(a.leadsTo(), "/reset?token=") {
		a.t.Fatalf("%s %s leads to %q, want a new password", a.request.Method, a.request.URL, a.leadsTo())
	}
	return a
}

// TestWhoeverTookAnAccountOverCannotCutTheFormerAddressOff: the thief knows the
// password and reads the email of each address they give the account.
func TestWhoeverTookAnAccountOverCannotCutTheFormerAddressOff(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		for name, does := range map[string]func(thief *browser, p person, address string){
			"by changing the password": func(thief *browser, p person, _ string) {
				thief.post("/account/password", url.Values{"current": {p.password}, "new": {otherPassword}}).wantRedirect("/account")
			},
			"by a reset": func(_ *browser, _ person, address string) { w.resets(address, otherPassword) },
			"by changing the address again": func(thief *browser, _ person, address string) {
				w.moves(thief, "second-"+address)
			},
			"by changing the address again, undoing that, and a reset": func(thief *browser, _ person, address string) {
				w.moves(thief, "second-"+address)
				w.undoes(w.linkIn(w.mailTo(address, tellsChange)))
				w.resets(address, otherPassword)
			},
		} {
			for when, waits := range map[string]bool{"after the mail": false, "before the mail": true} {
				p := w.person("Ada")
				thief, address, release := w.takesOver(p, waits)
				does(thief, p, address)
				release()
				w.undoes(w.linkIn(w.mailTo(p.email, tellsChange)))
				wantLoggedOut(thief)
				w.resets(p.email, "nine otters share a kettle")
				w.browser().post("/login", credentials(p.email, "nine otters share a kettle")).wantRedirect("/profile")
				for _, m := range w.sendMail() {
					if link := linkLine.FindStringSubmatch(m.Text); m.Subject == tellsChange && link != nil {
						if a := w.browser().get("/verify?token=" + link[1]); a.status != http.StatusGone {
							t.Errorf("%s, %s: a link to %s is still good: %d", name, when, m.To, a.status)
						}
					}
				}
			}
		}
	})
}

// TestANewPasswordSpendsTheWaysBackToTheAddressTheAccountHas: a copy of such a link, in
// a mailbox that someone else has read, would allow a reset for a week.
func TestANewPasswordSpendsTheWaysBackToTheAddressTheAccountHas(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		for name, sets := range map[string]func(b *browser, p person){
			"reset": func(_ *browser, p person) { w.resets(p.email, otherPassword) },
			"change": func(b *browser, p person) {
				b.post("/account/password", url.Values{"current": {p.password}, "new": {otherPassword}}).wantRedirect("/account")
			},
		} {
			p := w.person("Ada")
			b, thief := w.member(p), "Thief-of-"+p.email
			w.moves(b, thief)
			first := w.linkIn(w.mailTo(p.email, tellsChange))
			w.moves(b, p.email)
			second := w.linkIn(w.mailTo(thief, tellsChange))
			w.browser().get(first).want(http.StatusOK)
			sets(b, p)
			for _, link := range []string{first, second} {
				if a := w.browser().get(link); a.status != http.StatusGone {
					t.Errorf("%s: a link is still good: %d", name, a.status)
				}
			}
		}
	})
}

// TestAnEarlierAddressGoesBeforeALaterOne: the owner changed the address back with the
// form, and the thief's own undo link still works.
func TestAnEarlierAddressGoesBeforeALaterOne(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		p, b := w.newMember("Ada")
		w.moves(b, "thief@kelp.example")
		first := w.linkIn(w.mailTo(p.email, tellsChange))
		w.moves(b, p.email)
		w.undoes(w.linkIn(w.mailTo("thief@kelp.example", tellsChange)))
		notice := w.mailTo(p.email, "Your change of email address was undone")
		if linkLine.MatchString(notice.Text) {
			t.Errorf("the address that lost the account gets a link: %s", notice.Text)
		}
		w.undoes(first)
		w.resets(p.email, otherPassword)
		w.browser().post("/login", credentials(p.email, otherPassword)).wantRedirect("/profile")
	})
}

func TestAnEmailWhoseLinkWouldBeOverIsNotSent(t *testing.T) {
	asksForReset := func(w *world, _ *browser, p person) {
		w.browser().post("/forgot", url.Values{"email": {strings.ToUpper(p.email)}}).wantRedirect("/login")
	}
	tests := map[string]struct {
		ask     func(w *world, b *browser, p person)
		subject string
		does    func(w *world, b *browser, p person)
	}{
		"a reset, and the password was changed": {
			asksForReset, asksReset, func(_ *world, b *browser, p person) {
				b.post("/account/password", url.Values{"current": {p.password}, "new": {otherPassword}}).wantRedirect("/account")
			},
		},
		"a reset, and another link of it was used": {
			asksForReset, asksReset, func(w *world, _ *browser, p person) {
				w.sets(w.browser(), "/reset?token="+w.link(account.PurposeReset, p), otherPassword)
			},
		},
		"a reset, and the account was deleted": {
			asksForReset, asksReset, func(w *world, b *browser, p person) {
				b.post("/account/delete", url.Values{"email": {p.email}}).wantRedirect("/")
				w.wantRows(0, `SELECT recipient FROM outbox WHERE kind <> 'deleted'`)
			},
		},
		"a confirmation, and the address is confirmed": {
			func(w *world, b *browser, _ person) {
				b.post("/account/confirm", nil).wantRedirect("/account")
			}, asksConfirm,
			func(w *world, _ *browser, p person) {
				w.verify(p)
			},
		},
		"a change of address, and another one was confirmed": {
			func(w *world, b *browser, _ person) {
				b.post("/account/email", url.Values{"email": {"first@kelp.example"}}).wantRedirect("/account")
			}, asksChange,
			func(w *world, b *browser, p person) {
				token, err := w.accounts.MakeLink(w.t.Context(), account.PurposeChange, p.id, "second@kelp.example")
				require.NoError(w.t, err)
				b.submit(b.get("/verify?token="+token), "form[action='/verify']", nil).wantRedirect("/account")
			},
		},
	}
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		for name, test := range tests {
			p, b := w.newMember("Ada")
			w.sendMail()
			test.ask(w, b, p)
			held := w.rows(`SELECT recipient FROM outbox`)
			if len(held) != 1 {
				t.Fatalf("%s: %q wait", name, held)
			}
			release := w.holdMail(held[0])
			test.does(w, b, p)
			release()
			for _, m := range w.sendMail() {
				if m.Subject == test.subject {
					t.Errorf("%s: sent all the same: to %s, %q", name, m.To, m.Text)
				}
			}
		}
	})
}

// TestAnEmailThatIsBeingSentCarriesNoLinkThatOutlivesAReset: its sender has taken it
// from the outbox, and creates its link while the password is reset.
func TestAnEmailThatIsBeingSentCarriesNoLinkThatOutlivesAReset(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		for round := range 12 {
			used := w.link(account.PurposeReset, p)
			require.NoError(t, w.accounts.AskReset(t.Context(), p.email, text.Sender{}))
			l, ok, err := w.db.Outbox().Take(t.Context(), time.Minute)
			for ok && err == nil && l.Kind != account.EmailReset { // an email about the previous round
				if err = w.db.Outbox().Remove(t.Context(), l); err == nil {
					l, ok, err = w.db.Outbox().Take(t.Context(), time.Minute)
				}
			}
			if !ok || err != nil {
				t.Fatal(ok, err)
			}
			reset := func() {
				if _, _, err := w.accounts.ResetPassword(t.Context(), used, fmt.Sprintf("%s %d", otherPassword, round), text.Sender{}); err != nil {
					t.Error(err)
				}
			}
			var all sync.WaitGroup
			if round == 0 {
				reset() // before the link is created; in later rounds, at the same time
			} else {
				all.Go(reset)
			}
			m, err := w.accounts.Address(t.Context(), l)
			all.Wait()
			switch {
			case errors.Is(err, account.ErrNotToSend):
			case err != nil:
				t.Fatal(err)
			default:
				w.browser().get("/reset?token=" + m.Token).want(http.StatusGone)
			}
			if round == 0 && err == nil {
				t.Error("a link was made after the reset")
			}
		}
	})
}

// TestAFormerAddressThatSomebodySignedUpWithIsTakenBackAllTheSame: the thief has
// created an account with the address that the owner's account left, on an earlier
// version of the server, which did not reserve it.
func TestAFormerAddressThatSomebodySignedUpWithIsTakenBackAllTheSame(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		w.moves(w.member(p), "thief@kelp.example")
		undo := w.linkIn(w.mailTo(p.email, tellsChange))
		thief := w.person("Mallory")
		w.sql(`UPDATE people SET email = $1, email_key = $1 WHERE id = $2`, p.email, thief.id)

		owner := w.browser()
		page := owner.submit(owner.get(undo), "form[action='/verify']", nil).want(http.StatusConflict)
		page.wantPart("[role=alert]", "use “Forgotten your password?” to get into it and delete it right away")
		w.resets(p.email, "nine otters share a kettle")
		owner.post("/login", credentials(p.email, "nine otters share a kettle")).wantRedirect("/profile")
		owner.submit(owner.get("/account/delete"), "form[action='/account/delete']", map[string]string{"email": p.email}).wantRedirect("/")
		w.deletesNow(p.email)
		w.undoes(undo)
		w.resets(p.email, "nine otters share a kettle")
		w.browser().post("/login", credentials(p.email, "nine otters share a kettle")).wantRedirect("/profile")
	})
}
