package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/dev/require"
)

func signUpForm(email, password string) url.Values {
	return url.Values{"name": {"Ada"}, "email": {email}, "password": {password}}
}

func TestASlipInAnAddressIsSaidAtTheFormAndNeverMailed(t *testing.T) {
	w, _, b := withMember(t, embedded, options{mail: true})
	w.sendMail()
	for slip, said := range map[string]string{
		"a@b.com.": "must not end with a dot", "a@b,com": "must not contain “,”", "<a@b.com>": "must not contain “<”", "mailto:a@b.com": "must not contain “:”",
		"a@b.com;": "must not contain “;”", "a@b..com": "two dots in a row", `"a"@b.com`: "must not contain “\"”", "a@[IPv6:::1]": "must not contain “[”",
		"a@[127.0.0.1]": "must not contain “[”", "a(x)@b.com": "must not contain “(”", `a\@b.com`: `must not contain “\”`, "a@b_c.com": "domain name", "a@.com": "domain name",
		"a@b/c.com": "domain name", "a@b.com?subject=x": "domain name", "a@xn--a.com": "domain name", "a@" + strings.Repeat("b", 64) + ".com": "domain name",
		"a@" + strings.Repeat("b.", 122) + "ü.com": "domain name", "a b@c.com": "must not contain spaces", "a@@b.com": "format", "ａ＠b.com": "format",
		"a\u200b@b.com": "invisible", "a@b\u00ad.com": "invisible",
	} {
		for path, form := range map[string]url.Values{"/register": signUpForm(slip, otherPassword), "/forgot": {"email": {slip}}, "/account/email": {"email": {slip}}} {
			from := w.browser()
			if path == "/account/email" {
				from = b
			}
			t.Logf("%s: %q", path, slip)
			from.post(path, form).want(http.StatusUnprocessableEntity).wantPart("#email-error", said)
		}
	}
	w.wantRows(0, `SELECT recipient FROM outbox`)
}

func TestWhatTheFormTakesForAnAddressIsMailed(t *testing.T) {
	w := parallelWorld(t, embedded, options{mail: true})
	for typed, to := range map[string]string{
		"a..b@docomo.ne.jp": "a..b@docomo.ne.jp", "a.@docomo.ne.jp": "a.@docomo.ne.jp", "o'brien+tag@example.org": "o'brien+tag@example.org", "ada@localhost": "ada@localhost",
		"ünï@example.org": "ünï@example.org", "ada@münchen.example": "ada@münchen.example", "bea@xn--mnchen-3ya.example": "bea@münchen.example", "x@shop--a.example": "x@shop--a.example",
		"\u200b\ufeffcyd@example.org\u200e": "cyd@example.org", "\u00ad dan@example.org \u202c": "dan@example.org", "\u202aeve@example.org": "eve@example.org",
	} {
		b := w.browser()
		b.post("/register", signUpForm(typed, otherPassword)).wantRedirect("/login")
		b.submit(b.get(w.linkIn(w.mailTo(to, asksConfirm))), "form[action='/verify']", nil).wantRedirect("/login")
		b.post("/login", credentials(typed, otherPassword)).wantRedirect("/profile")
		b.get("/account").wantPart("main", to)
	}
}

// TestOneMailboxIsOneAccountInEitherSpellingOfItsDomain: some browsers send the domain
// in an email field in ASCII.
func TestOneMailboxIsOneAccountInEitherSpellingOfItsDomain(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		const shown = "ada@bücher.example"
		spellings := []string{shown, "ada@xn--bcher-kva.example", "ADA@BÜCHER.example", "ada@XN--BCHER-KVA.Example", "ada@bu\u0308cher.example", "ada@bücher。example", "ada@ｂücher.example"}
		for n, signUp := range spellings[:2] {
			w.browser().post("/register", signUpForm(signUp, otherPassword)).wantRedirect("/login")
			for _, other := range spellings {
				w.browser().post("/login", credentials(other, otherPassword)).wantRedirect("/profile")
			}
			w.browser().post("/register", signUpForm(spellings[1-n], "nine otters share a kettle")).wantRedirect("/login")
			// Deleting the first account removed the earlier email.
			if got := w.recipients(alreadyThere); !slices.Equal(got, []string{shown}) {
				t.Errorf("signed up with %q: emails to %q", signUp, got)
			}
			if keys := w.rows(`SELECT email_key FROM people`); !slices.Equal(keys, []string{"ada@xn--bcher-kva.example"}) {
				t.Errorf("accounts %q", keys)
			}
			b := w.browser()
			b.post("/login", credentials(spellings[1-n], otherPassword)).wantRedirect("/profile")
			b.get("/account").wantPart("main", shown)
			b.post("/account/email", url.Values{"email": {spellings[1]}}).want(http.StatusUnprocessableEntity).wantText("#email-error", "This is already your email address.")
			b.post("/forgot", url.Values{"email": {spellings[1-n]}}).wantRedirect("/login")
			w.mailTo(shown, asksReset)
			b.post("/account/delete", url.Values{"email": {spellings[1-n]}}).wantRedirect("/")
		}
	})
}

func TestClicksThatSendNoEmailAreNotRefused(t *testing.T) {
	w := parallelWorld(t, embedded, options{mail: true, slow: true})
	for range 6 {
		w.browser().post("/register", signUpForm("ada@kelp.example", otherPassword)).wantRedirect("/login")
	}
	w.mailTo("ada@kelp.example", asksConfirm)
}

func TestOnePersonWhoClicksThreeTimesGetsOneEmail(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		clicks := func(email, password string, atOnce bool) {
			t.Helper()
			done := make(chan *answer, 3)
			for range 3 {
				click := func() {
					done <- w.bare("POST", "/register", signUpForm(email, password).Encode(), "Content-Type: "+urlencoded)
				}
				if atOnce {
					go click()
				} else {
					click()
					w.sendMail()
				}
			}
			for range 3 {
				(<-done).wantRedirect("/login")
			}
		}
		for email, atOnce := range map[string]bool{"one@kelp.example": false, "two@kelp.example": true} {
			clicks(email, otherPassword, atOnce)
			w.mailTo(email, asksConfirm)
		}
		if got := w.recipients(alreadyThere); len(got) != 0 {
			t.Errorf("emails to %q", got)
		}
		// A form with another password, or sent an hour later, may be another person's.
		clicks("one@kelp.example", "nine otters share a kettle", false)
		w.clock.Advance(time.Hour)
		clicks("two@kelp.example", otherPassword, false)
		if got := w.recipients(alreadyThere); len(got) != 6 {
			t.Errorf("emails to %q", got)
		}
		w.wantRows(2, `SELECT email_key FROM people`)
	})
}

func TestTwoClicksOnSendTheLinkSendOneEmail(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		other := w.person("Bob")
		b := w.member(w.person("Ada"))
		count := func(to, subject string, want int) {
			t.Helper()
			if n := w.emailed(to)[subject]; n != want {
				t.Errorf("%d emails to %s, want %d", n, to, want)
			}
		}
		asks := func(to string) {
			t.Helper()
			b.post("/account/email", url.Values{"email": {to}}).wantRedirect("/account")
		}
		for _, between := range []func(){func() {}, func() { w.sendMail() }} {
			for range 2 {
				asks("new@kelp.example")
				asks(other.email)
				between()
			}
			count("new@kelp.example", asksChange, 1)
			count(other.email, "Someone tried to use your email address", 1)
		}
		asks("newer@kelp.example")
		count("newer@kelp.example", asksChange, 1)
		w.clock.Advance(6 * time.Minute)
		asks("new@kelp.example")
		count("new@kelp.example", asksChange, 2)
		link := w.linkIn(w.mailTo("new@kelp.example", asksChange))
		b.submit(b.get(link).want(http.StatusOK), "form[action='/verify']", nil).want(http.StatusSeeOther)
	})
}

func TestAConfirmationLinkOpenedAgainSaysThatTheAddressIsConfirmed(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		w.browser().post("/register", signUpForm("ada@kelp.example", otherPassword)).wantRedirect("/login")
		first := w.linkIn(w.mailTo("ada@kelp.example", asksConfirm))
		b := w.browser()
		page := b.get(first).want(http.StatusOK)
		b.submit(page, "form[action='/verify']", nil).wantRedirect("/login")
		isConfirmed := func(link string, page *answer) {
			t.Helper()
			const want = "Your email address is confirmed"
			b.get(link).want(http.StatusOK).wantText("h1", want)
			b.submit(page, "form[action='/verify']", nil).want(http.StatusOK).wantText("h1", want)
		}
		isConfirmed(first, page)

		b.post("/login", credentials("ada@kelp.example", otherPassword)).wantRedirect("/profile")
		b.post("/account/email", url.Values{"email": {"new@kelp.example"}}).wantRedirect("/account")
		second := w.linkIn(w.mailTo("new@kelp.example", asksChange))
		page = b.get(second).want(http.StatusOK)
		b.submit(page, "form[action='/verify']", nil).wantRedirect("/account")
		isConfirmed(second, page)
		b.get(first).want(http.StatusGone) // for an address that the account no longer has

		undo := w.linkIn(w.mailTo("ada@kelp.example", tellsChange))
		w.undoes(undo)
		for _, link := range []string{undo, second, "/verify?token=" + strings.Repeat("A", 43), "/verify"} {
			b.get(link).want(http.StatusGone)
		}
		// For an account whose address is not confirmed, an unused link says nothing.
		p := w.person("Bea")
		expired := "/verify?token=" + w.link(account.PurposeConfirm, p)
		w.clock.Advance(account.ConfirmLife + time.Second)
		b.get(expired).want(http.StatusGone)
		require.NoError(t, w.db.Tidy(t.Context()))
	})
}
