package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/internal/account"
)

const tellsTaken = "You have an account already"

// signUp is a sign-up of a stranger with an address.
func (w *world) signUp(email string) *answer {
	return w.browser().post("/register", url.Values{"name": {"Mallory"}, "email": {email}, "password": {otherPassword}})
}

// without is an answer without what differs from one request to the next.
func (a *answer) without(email string) string {
	headers := a.header.Clone()
	headers.Del("Date")
	body := strings.NewReplacer(email, "ADDRESS", url.QueryEscape(email), "ADDRESS").Replace(string(a.body))
	return fmt.Sprintf("%d %v %s", a.status, headers, body)
}

// TestAnAddressThatCanBeTakenBackIsTakenForEverybodyElse: whoever had it as their
// own meanwhile, which takes no mailbox, would be in the way of its owner.
func TestAnAddressThatCanBeTakenBackIsTakenForEverybodyElse(t *testing.T) {
	for when, waits := range map[string]bool{"after the mail": false, "before the mail": true} {
		t.Run(when, func(t *testing.T) {
			onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
				p, bob := w.person("Ada"), w.person("Bob")
				thief := w.member(p)
				thief.post("/account/email", url.Values{"email": {"thief@kelp.example"}}).wantRedirect("/account")
				confirm := w.linkIn(w.mailTo("thief@kelp.example", asksChange))
				thief.submit(thief.get(confirm), "form[action='/verify']", nil).wantRedirect("/account")
				thief.post("/account/name", url.Values{"name": {"Call 0800 123456"}}).wantRedirect("/account")
				release := func() {}
				if waits {
					release = w.holdMail(p.email)
				} else {
					w.sendMail()
				}
				if kept, taken := w.signUp(strings.ToUpper(p.email)), w.signUp(bob.email); kept.without(strings.ToUpper(p.email)) != taken.without(bob.email) {
					t.Errorf("an address that is kept is told from a taken one:\n%s\n%s", kept.without(p.email), taken.without(bob.email))
				}
				w.browser().post("/login", credentials(p.email, otherPassword)).want(http.StatusUnprocessableEntity)
				told := w.mailTo(p.email, tellsTaken)
				if !strings.Contains(strings.Join(strings.Fields(told.Text), " "), "can still take it back") || strings.Contains(told.Text, "0800") || linkLine.MatchString(told.Text) {
					t.Errorf("the owner is told %q", told.Text)
				}

				member := w.member(bob)
				member.post("/account/email", url.Values{"email": {p.email}}).wantRedirect("/account")
				if told := w.mailTo(p.email, "Somebody wanted to use your e-mail address"); !strings.Contains(strings.Join(strings.Fields(told.Text), " "), "can still take it back") {
					t.Errorf("the owner is told %q", told.Text)
				}
				token, err := w.accounts.MakeLink(t.Context(), account.PurposeChange, bob.id, p.email)
				if err != nil {
					t.Fatal(err)
				}
				member.post("/verify", url.Values{"token": {token}}).want(http.StatusConflict)
				member.get("/verify?token=" + token).want(http.StatusOK) // spent by nothing

				release()
				w.undoes(w.linkIn(w.mailTo(p.email, tellsChange)))
				w.resets(p.email, "nine otters share a kettle")
				w.browser().post("/login", credentials(p.email, "nine otters share a kettle")).wantRedirect("/profile")
			})
		})
	}
}

func TestAnAddressThatCanBeTakenBackIsTakenWithoutMailToo(t *testing.T) {
	onBothStacksWith(t, options{}, func(t *testing.T, w *world) {
		p, bob := w.person("Ada"), w.person("Bob")
		w.moves(w.member(p), "thief@kelp.example")
		kept, taken := w.signUp(p.email), w.signUp(bob.email)
		kept.want(http.StatusUnprocessableEntity)
		if kept.without(p.email) != taken.without(bob.email) {
			t.Errorf("an address that is kept is told from a taken one:\n%s\n%s", kept.without(p.email), taken.without(bob.email))
		}
		w.undoes(w.linkIn(w.mailTo(p.email, tellsChange)))
	})
}

// TestAnAddressIsFreeWhenTheWayBackToItIsOver: it is kept for 7 days and no
// longer, and not from the account that had it.
func TestAnAddressIsFreeWhenTheWayBackToItIsOver(t *testing.T) {
	onBothStacksWith(t, options{}, func(t *testing.T, w *world) {
		p, other := w.person("Ada"), w.person("Bob")
		b := w.member(p)
		w.moves(b, "second@kelp.example")
		w.moves(b, p.email)
		w.moves(w.member(other), "third@kelp.example")
		w.sendMail()
		w.clock.advance(account.UndoLife - time.Minute)
		w.signUp(other.email).want(http.StatusUnprocessableEntity)
		w.clock.advance(2 * time.Minute)
		w.signUp(other.email).wantRedirect("/profile")
	})
}
