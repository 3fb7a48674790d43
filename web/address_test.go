package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const alreadyThere = "You already have an account"

func signUpForm(email, password string) url.Values {
	return url.Values{"name": {"Ada"}, "email": {email}, "password": {password}}
}

// recipients are those of the emails with a subject, newest first.
func (w *world) recipients(subject string) (to []string) {
	w.t.Helper()
	for _, m := range w.sendMail() {
		if m.Subject == subject {
			to = append(to, m.To)
		}
	}
	return to
}

func TestASlipInAnAddressIsSaidAtTheFormAndNeverMailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{mail: true})
	b := w.member(w.person("Ada"))
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
			if got := from.post(path, form).want(http.StatusUnprocessableEntity).text("#email-error"); !strings.Contains(got, said) {
				t.Errorf("%s: of %q it says %q, want %q", path, slip, got, said)
			}
		}
	}
	if waiting := w.rows(`SELECT recipient FROM outbox`); len(waiting) > 0 {
		t.Errorf("emails wait for %q", waiting)
	}
}

func TestWhatTheFormTakesForAnAddressIsMailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{mail: true})
	for typed, to := range map[string]string{
		"a..b@docomo.ne.jp": "a..b@docomo.ne.jp", "a.@docomo.ne.jp": "a.@docomo.ne.jp", "o'brien+tag@example.org": "o'brien+tag@example.org", "ada@localhost": "ada@localhost",
		"ünï@example.org": "ünï@example.org", "ada@münchen.example": "ada@münchen.example", "bea@xn--mnchen-3ya.example": "bea@münchen.example", "x@shop--a.example": "x@shop--a.example",
		"\u200b\ufeffcyd@example.org\u200e": "cyd@example.org", "\u00ad dan@example.org \u202c": "dan@example.org", "\u202aeve@example.org": "eve@example.org",
	} {
		b := w.browser()
		b.post("/register", signUpForm(typed, otherPassword)).wantRedirect("/login")
		b.submit(b.get(w.linkIn(w.mailTo(to, asksConfirm))), "form[action='/verify']", nil).wantRedirect("/login")
		b.post("/login", credentials(typed, otherPassword)).wantRedirect("/profile")
		if page := b.get("/account").text("main"); !strings.Contains(page, to) {
			t.Errorf("the account of %q shows %q", typed, page)
		}
	}
}

// TestOneMailboxIsOneAccountInEitherSpellingOfItsDomain: some browsers send
// the domain of a field for email in ASCII.
func TestOneMailboxIsOneAccountInEitherSpellingOfItsDomain(t *testing.T) {
	t.Parallel()
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		const shown = "ada@bücher.example"
		spellings := []string{shown, "ada@xn--bcher-kva.example", "ADA@BÜCHER.example", "ada@XN--BCHER-KVA.Example", "ada@bu\u0308cher.example", "ada@bücher。example", "ada@ｂücher.example"}
		for n, signUp := range spellings[:2] {
			w.browser().post("/register", signUpForm(signUp, otherPassword)).wantRedirect("/login")
			for _, other := range spellings {
				w.browser().post("/login", credentials(other, otherPassword)).wantRedirect("/profile")
			}
			w.browser().post("/register", signUpForm(spellings[1-n], "nine otters share a kettle")).wantRedirect("/login")
			if got := w.recipients(alreadyThere); len(got) != n+1 || got[n] != shown {
				t.Errorf("signed up with %q: emails to %q", signUp, got)
			}
			if keys := w.rows(`SELECT email_key FROM people`); !slices.Equal(keys, []string{"ada@xn--bcher-kva.example"}) {
				t.Errorf("accounts %q", keys)
			}
			b := w.browser()
			b.post("/login", credentials(spellings[1-n], otherPassword)).wantRedirect("/profile")
			if page := b.get("/account").text("main"); !strings.Contains(page, shown) {
				t.Errorf("the account page shows %q", page)
			}
			b.post("/account/email", url.Values{"email": {spellings[1]}}).want(http.StatusUnprocessableEntity).wantText("#email-error", "This is already your email address.")
			b.post("/forgot", url.Values{"email": {spellings[1-n]}}).wantRedirect("/login")
			w.mailTo(shown, asksReset)
			b.post("/account/delete", url.Values{"email": {spellings[1-n]}}).wantRedirect("/")
		}
	})
}
