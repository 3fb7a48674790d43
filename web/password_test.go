package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/dev/require"
	"holdfast/internal/product"
)

func TestAForgottenPasswordIsReplacedByAMailedLink(t *testing.T) {
	onBothStacksWith(t, options{mail: true, slow: true}, func(t *testing.T, w *world) {
		p, old := w.newMember("Ada")
		b := w.browser()
		asked := b.submit(b.get("/forgot").want(http.StatusOK), "form[action='/forgot']", map[string]string{"email": strings.ToUpper(p.email)}).wantRedirect("/login")
		nobody := w.browser().post("/forgot", url.Values{"email": {"nobody@kelp.example"}}).wantRedirect("/login")
		if a, b := asked.without(strings.ToUpper(p.email)), nobody.without("nobody@kelp.example"); a != b {
			t.Errorf("the response reveals whether there is an account: %s, %s", a, b)
		}
		b.follow(asked).want(http.StatusOK).wantNotice("If that address has an account, an email")
		mails := w.sendMail()
		if len(mails) != 1 {
			t.Fatalf("%d mails: %+v", len(mails), mails)
		}
		link := w.linkIn(w.mailTo(p.email, "Choose a new password"))
		other := w.link(account.PurposeReset, p)

		before := w.everything()
		for range 3 {
			b.get(link).want(http.StatusOK).wantHeader("Referrer-Policy", "strict-origin")
		}
		b.do(b.request("HEAD", link, nil))
		w.wantUnchanged(before, "opening the link")

		b.submit(b.get(link), "form[action='/reset']", map[string]string{"password": "short"}).want(http.StatusUnprocessableEntity)
		set := b.submit(b.get(link), "form[action='/reset']", map[string]string{"password": otherPassword}).wantRedirect("/login")
		if b.token() != "" {
			t.Error("a reset logs in")
		}
		b.follow(set).wantNotice("Your password has been changed")
		wantLoggedOut(old)
		b.get(link).want(http.StatusGone)
		b.post("/reset", url.Values{"token": {strings.TrimPrefix(link, "/reset?token=")}, "password": {sharedPassword}}).want(http.StatusGone)
		b.get("/reset?token=" + other).want(http.StatusGone)
		b.post("/login", credentials(p.email, p.password)).want(http.StatusUnprocessableEntity)
		b.post("/login", credentials(p.email, otherPassword)).wantRedirect("/profile")
		w.mailTo(p.email, "Your password was changed")
	})
}

func TestALinkIsGoodForItsTimeAndFromThisSite(t *testing.T) {
	w := parallelWorld(t, embedded, options{mail: true})
	p := w.person("Ada")
	r := w.browser().request("POST", "/forgot", strings.NewReader(url.Values{"email": {p.email}}.Encode()))
	r.Header.Set("Content-Type", urlencoded)
	r.Host = "evil.example"
	r.Header.Set("X-Forwarded-Host", "evil.example")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	w.browser().do(r).wantRedirect("/login")
	m := w.mailTo(p.email, "Choose a new password")
	if strings.Contains(m.Text, "evil") {
		t.Errorf("the mail says %q", m.Text)
	}
	link := w.linkIn(m)
	w.browser().get(link).want(http.StatusOK)
	for purpose, life := range map[account.Purpose]time.Duration{
		account.PurposeReset: time.Hour, account.PurposeConfirm: 24 * time.Hour, account.PurposeChange: 24 * time.Hour, account.PurposeUndo: 7 * 24 * time.Hour,
	} {
		path, other := "/verify?token=", "/reset?token="
		if purpose == account.PurposeReset {
			path, other = other, path
		}
		token := w.link(purpose, p)
		w.clock.Advance(life - time.Minute)
		w.browser().get(path + token).want(http.StatusOK)
		w.clock.Advance(time.Minute)
		w.browser().get(path + token).want(http.StatusGone)
		w.browser().get(other + w.link(purpose, p)).want(http.StatusGone)
	}
}

func TestAChangedPasswordEndsEveryOtherSessionAndRenewsThisOne(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		b, others := w.member(p), []*browser{w.member(p), w.member(p)}
		before, link := b.token(), w.link(account.PurposeReset, p)
		for name, sent := range map[string]struct {
			url.Values
			errors int
		}{
			"none":  {url.Values{"new": {otherPassword}}, 1},
			"wrong": {url.Values{"current": {wrongPassword}, "new": {otherPassword}}, 1},
			"weak":  {url.Values{"current": {p.password}, "new": {"short"}}, 1},
			"same":  {url.Values{"current": {p.password}, "new": {p.password}}, 1},
			// The page shows all errors at the same time.
			"nothing":        {url.Values{}, 2},
			"wrong and weak": {url.Values{"current": {wrongPassword}, "new": {"correct horse battery staple"}}, 2},
		} {
			page := b.post("/account/password", sent.Values).want(http.StatusUnprocessableEntity)
			if page.count("input[type=password][value]") > 0 || page.count(".field-error") != sent.errors {
				t.Errorf("%s: a password comes back, or it says %q", name, page.text(".field-error"))
			}
		}
		for _, other := range others {
			other.get("/profile").want(http.StatusOK)
		}
		changed := b.submit(b.get("/account/password"), "form[action='/account/password']", map[string]string{"current": p.password, "new": otherPassword}).wantRedirect("/account")
		if b.token() == before || b.token() == "" {
			t.Error("the token is the old one")
		}
		b.follow(changed).want(http.StatusOK)
		thief := w.browser()
		thief.client.Jar.SetCookies(w.base, []*http.Cookie{{Name: product.SessionCookie, Value: before}})
		wantLoggedOut(append(others, thief)...)
		if past := b.get("/devices").text(".past"); strings.Count(past, "Ended when the password was changed") != 3 || strings.Contains(past, "Replaced") {
			t.Errorf("past sessions: %q", past)
		}
		w.browser().get("/reset?token=" + link).want(http.StatusGone)
		w.browser().post("/login", credentials(p.email, p.password)).want(http.StatusUnprocessableEntity)
		w.mailTo(p.email, "Your password was changed")
	})
}

func TestNoLogInWithTheOldPasswordOutlivesTheChange(t *testing.T) {
	onBothStacksWith(t, options{}, func(t *testing.T, w *world) {
		for range 6 {
			p, b := w.newMember("Ada")
			others := make([]*browser, 8)
			var all sync.WaitGroup
			for i := range others {
				others[i] = w.browser()
				all.Go(func() { others[i].post("/login", credentials(p.email, p.password)) })
			}
			all.Go(func() {
				b.post("/account/password", url.Values{"current": {p.password}, "new": {otherPassword}}).wantRedirect("/account")
			})
			all.Wait()
			for _, other := range others {
				if other.get("/profile").status == http.StatusOK {
					t.Error("a session of the old password is alive")
				}
			}
			b.get("/profile").want(http.StatusOK)
		}
	})
}

func TestAResetDoesNotSetTheOldPasswordAgain(t *testing.T) {
	w := parallelWorld(t, embedded, options{mail: true})
	p := w.person("Ada")
	b := w.browser()
	link := "/reset?token=" + w.link(account.PurposeReset, p)
	again := b.submit(b.get(link).want(http.StatusOK), "form[action='/reset']", map[string]string{"password": p.password})
	again.want(http.StatusUnprocessableEntity).wantText("#password-error", "This is your current password. Choose another one.")
	b.submit(again, "form[action='/reset']", map[string]string{"password": otherPassword}).wantRedirect("/login")
}

func TestTheAccountPageSaysWhenThePasswordWasSet(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		p, b := w.newMember("Ada")
		wantSet := func(want string) {
			t.Helper()
			if said := b.get("/account").want(http.StatusOK).text(".overview div:has(a[href='/account/password'])"); !strings.Contains(said, "Set "+want) {
				t.Errorf("the page says %q, want: set %s", said, want)
			}
		}
		w.clock.Advance(2 * time.Hour)
		wantSet("2 hours ago")
		b.post("/account/password", url.Values{"current": {p.password}, "new": {otherPassword}}).wantRedirect("/account")
		wantSet("just now")
		w.sql("DELETE FROM history WHERE event = 'password_changed'")
		wantSet("more than 90 days ago")
	})
}

// Requesting links for invented addresses does not delay anyone's email.
func TestInventedAddressesHoldUpNoReset(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		guest := w.browser()
		const invented = 150
		for n := range invented {
			guest.post("/forgot", url.Values{"email": {fmt.Sprintf("nobody%d@reef.example", n)}}).wantRedirect("/login")
		}
		guest.post("/forgot", url.Values{"email": {p.email}}).wantRedirect("/login")
		for turns := 1; ; turns++ {
			found, err := w.post.Next(t.Context())
			require.NoError(t, err)
			mails, err := w.folder.Latest()
			require.NoError(t, err)
			if len(mails) > 0 {
				if to := strings.Trim(mails[0].To, "<>"); to != p.email {
					t.Errorf("an email to %s", to)
				}
				break
			}
			if !found || turns > 30 {
				t.Fatalf("after %d turns of the sender, the one reset is not sent", turns)
			}
		}
	})
}

// TestAPasswordManagerIsToldWhosePasswordItIs: it ignores hidden fields.
func TestAPasswordManagerIsToldWhosePasswordItIs(t *testing.T) {
	w, p, b := withMember(t, embedded, options{})
	for _, path := range []string{"/account/password", "/account/proof", "/reset?token=" + w.link(account.PurposeReset, p)} {
		field := b.get(path).want(http.StatusOK).doc().Find("form input[autocomplete=username]")
		if kind, value := field.AttrOr("type", ""), field.AttrOr("value", ""); kind != "email" || value != p.email {
			t.Errorf("%s: a field of type %q with %q", path, kind, value)
		}
	}
	b.get("/reset?token="+w.link(account.PurposeReset, p)).wantText("main strong", p.email)
}

func TestPasswordManagersFindWhereToChangeThePassword(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	b := w.member(w.person("Ada"))
	b.follow(b.get("/.well-known/change-password").wantRedirect("/account/password")).want(http.StatusOK).wantText("h1", "Change your password")
}
