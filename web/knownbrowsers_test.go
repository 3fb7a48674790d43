package web_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/dev/require"
	"holdfast/internal/product"
)

// guess sends a wrong password from its own IP address. It returns how long the next
// attempt has to wait; hashed is false if this one came too early.
func (b *browser) guess(path string, sent url.Values, n int) (hashed bool, wait time.Duration) {
	b.w.t.Helper()
	a := b.postWith(path, sent.Encode(), fmt.Sprintf("X-Forwarded-For: 198.51.%d.%d", n/250, n%250))
	switch a.status {
	case http.StatusUnprocessableEntity:
		return true, 0
	case http.StatusTooManyRequests:
		seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
		if err != nil || seconds < 1 {
			b.w.t.Fatalf("Retry-After %q", a.header.Get("Retry-After"))
		}
		return false, time.Duration(seconds) * time.Second
	}
	b.w.t.Fatalf("%s: %d", path, a.status)
	return false, 0
}

// TestOfADaysTriesAtMostTwoHundredAreHashedWhateverCookiesAreHeld: the attacker has 10
// device cookies and a session, any number of IP addresses, and tries again as soon as
// that is allowed.
func TestOfADaysTriesAtMostTwoHundredAreHashedWhateverCookiesAreHeld(t *testing.T) {
	w := parallelWorld(t, embedded, options{slow: true, trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	p := w.person("Ada")
	known := make([]*browser, 10)
	for n := range known {
		known[n] = w.known(p)
	}
	// No password matches this hash, and its cost is low enough for a day's attempts.
	cheap := "$argon2id$v=19$m=8,t=1,p=1$" + strings.Repeat("A", 22) + "$" + strings.Repeat("A", 43)
	w.sql(`UPDATE people SET password_hash = $1`, cheap)
	hashed := map[string]int{}
	tries := 0
	for day := time.Duration(0); day < 24*time.Hour; {
		next := 24 * time.Hour
		for kind, from := range map[string]struct {
			path    string
			browser *browser
		}{
			"stranger":      {"/login", w.browser()},
			"known browser": {"/login", known[tries%len(known)].withoutSession()},
			"session":       {"/account/proof", known[tries%len(known)]},
		} {
			sent := credentials(p.email, wrongPassword)
			if kind == "session" {
				sent.Del("email")
			}
			tries++
			done, wait := from.browser.guess(from.path, sent, tries)
			if done {
				hashed[kind]++
				wait = 0
			}
			next = min(next, wait)
		}
		w.clock.Advance(next)
		day += next
	}
	t.Logf("hashed: %v", hashed)
	all := 0
	for _, n := range hashed {
		all += n
	}
	if all > 200 || len(hashed) != 3 {
		t.Errorf("hashed: %v", hashed)
	}
}

// known returns a browser that has logged in to an account.
func (w *world) known(p person) *browser {
	w.t.Helper()
	b := w.browser()
	b.logIn(p, "").wantRedirect("/profile")
	return b
}

// withoutSession returns a browser that has only the device cookie of this one.
func (b *browser) withoutSession() *browser {
	only := b.w.browser()
	for _, cookie := range b.client.Jar.Cookies(b.w.base) {
		if cookie.Name == product.DeviceCookie {
			only.client.Jar.SetCookies(b.w.base, []*http.Cookie{cookie})
		}
	}
	return only
}

// TestANewPasswordHasNoBrowserKnownButTheOneThatSetIt: someone who logged in with the
// former password gets no separate attempts at the next one.
func TestANewPasswordHasNoBrowserKnownButTheOneThatSetIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sets func(w *world, b *browser, p person) (setter *browser)
		left int
	}{
		"reset": {func(w *world, _ *browser, p person) *browser {
			b := w.browser()
			b.post("/reset", url.Values{"token": {w.link(account.PurposeReset, p)}, "password": {otherPassword}}).wantRedirect("/login")
			return b
		}, 1},
		"undo": {func(w *world, b *browser, p person) *browser {
			w.undoes("/verify?token=" + w.link(account.PurposeUndo, p))
			return b
		}, 0},
		"change": {func(_ *world, b *browser, p person) *browser {
			b.post("/account/password", url.Values{"current": {p.password}, "new": {otherPassword}}).wantRedirect("/account")
			return b
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			onBothStacksWith(t, options{slow: true}, func(t *testing.T, w *world) {
				p := w.person("Ada")
				b := w.known(p)
				for range 4 {
					w.known(p)
				}
				b = test.sets(w, b, p)
				w.wantRows(test.left, `SELECT hash FROM browsers`)
				if test.left == 0 {
					return
				}
				for range 5 {
					w.browser().post("/login", credentials(p.email, wrongPassword)).want(http.StatusUnprocessableEntity)
				}
				w.browser().post("/login", credentials(p.email, otherPassword)).want(http.StatusTooManyRequests)
				b.withoutSession().post("/login", credentials(p.email, otherPassword)).wantRedirect("/profile")
			})
		})
	}
}

// TestALogInWithAFormerPasswordHasNoBrowserKnown: the password was correct when it was
// verified, and was changed before the login was recorded.
func TestALogInWithAFormerPasswordHasNoBrowserKnown(t *testing.T) {
	onBothStacksWith(t, options{}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		before, err := w.accounts.Authenticate(t.Context(), p.email, p.password)
		require.NoError(t, err)
		w.browser().post("/reset", url.Values{"token": {w.link(account.PurposeReset, p)}, "password": {otherPassword}}).wantRedirect("/login")
		_, err = w.accounts.RecordLogin(t.Context(), before, account.Login{})
		require.NoError(t, err)
		w.wantRows(1, `SELECT hash FROM browsers`)
	})
}

func TestTheDeviceCookieIsHashedIsOnesOwnAndLogsNobodyIn(t *testing.T) {
	w := parallelWorld(t, embedded, options{slow: true})
	p, other := w.person("Ada"), w.person("Bob")
	b := w.browser()
	cookie := b.logIn(p, "").cookie(product.DeviceCookie)
	if len(cookie.Value) != 43 || cookie.MaxAge != int((400*24*time.Hour).Seconds()) {
		t.Errorf("cookie %s", cookie.Raw)
	}
	for key, value := range w.everything() {
		if strings.Contains(value, cookie.Value) {
			t.Errorf("%s holds the token", key)
		}
	}
	thief := w.browser()
	thief.client.Jar.SetCookies(w.base, []*http.Cookie{{Name: product.DeviceCookie, Value: cookie.Value}, {Name: product.SessionCookie, Value: cookie.Value}})
	wantLoggedOut(thief)
	// Another person logs in with the same browser: it is then known for both.
	b.post("/logout", nil)
	both := b.logIn(other, "").cookie(product.DeviceCookie)
	if parts := strings.Split(both.Value, "."); len(parts) != 2 || parts[1] != cookie.Value {
		t.Errorf("cookie %s", both.Raw)
	}
	b.post("/logout", nil)
	if again := b.logIn(p, ""); len(again.header["Set-Cookie"]) != 1 {
		t.Errorf("a known browser gets %q", again.header["Set-Cookie"])
	}
	// A token that the server did not create belongs to no account.
	invented := w.browser()
	invented.client.Jar.SetCookies(w.base, []*http.Cookie{{Name: product.DeviceCookie, Value: strings.Repeat("A", 43)}})
	if got := invented.logIn(p, "").cookie(product.DeviceCookie).Value; strings.HasPrefix(got, "AAAA") {
		t.Errorf("an invented token is kept in front: %s", got)
	}
}

func TestALogInFromABrowserNotSeenBeforeIsToldWithALinkThatEndsIt(t *testing.T) {
	w := parallelWorld(t, embedded, options{mail: true})
	p := w.person("Ada")
	owner := w.known(p)
	w.mailTo(p.email, "New login to your account")
	mails := len(w.sendMail())
	owner.logOut()
	owner.logIn(p, "").wantRedirect("/profile")
	if n := len(w.sendMail()); n != mails {
		t.Errorf("a login from a known browser sends an email: %d emails, then %d", mails, n)
	}
	thief := w.browser()
	thief.agent = "Mozilla/5.0 (Windows NT 10.0; rv:128.0) Gecko/20100101 Firefox/128.0"
	thief.logIn(p, "").wantRedirect("/profile")
	m := w.mailTo(p.email, "New login to your account")
	if !strings.Contains(m.Text, "- Browser: Firefox on Windows\n- IP address: 127.0.0.1\n- Time: ") {
		t.Errorf("the mail says %q", m.Text)
	}
	link := w.linkIn(m)
	owner.submit(owner.get(link).want(http.StatusOK), "form[action='/reset']", map[string]string{"password": otherPassword}).wantRedirect("/login")
	wantLoggedOut(thief)
	thief.post("/login", credentials(p.email, p.password)).want(http.StatusUnprocessableEntity)
}
