package web_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/password"
)

func credentials(email, password string) url.Values {
	return url.Values{"email": {email}, "password": {password}}
}

const (
	otherPassword = "quiet harbours freeze late"
	wrongPassword = "loud harbours freeze never"
)

func TestGuessingIsSlowedButNotOnABrowserThatIsKnown(t *testing.T) {
	onBothStacksWith(t, options{slow: true}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		owner := w.known(p)
		owner.logOut()

		spellings := []string{p.email, strings.ToUpper(p.email), "  " + p.email + " ", "\t" + p.email, strings.ToUpper(p.email[:3]) + p.email[3:]}
		guess := func(email string, n int) *answer {
			address := fmt.Sprintf("198.51.100.%d", n)
			return w.browser().postWith("/login", credentials(email, wrongPassword).Encode(), "X-Forwarded-For: "+address, "X-Real-IP: "+address)
		}
		for n := range 12 {
			want := http.StatusUnprocessableEntity
			if n >= 5 {
				want = http.StatusTooManyRequests
			}
			known, unknown := guess(spellings[n%len(spellings)], n), guess(strings.Replace(spellings[n%len(spellings)], "1", "9", 1), n)
			known.want(want)
			unknown.want(want)
			if known.header.Get("Retry-After") != unknown.header.Get("Retry-After") || known.text("#email-error") != unknown.text("#email-error") {
				t.Errorf("try %d: %q for an account, %q for none", n, known.text("#email-error"), unknown.text("#email-error"))
			}
			if want == http.StatusTooManyRequests {
				known.wantHeader("Retry-After", "5").wantText("#email-error", "Too many attempts. Try again in 5 seconds.").wantText("title", "Error: Log in · Holdfast")
				if known.value("input#email") == "" || known.value("input#password") != "" {
					t.Error("what was typed is not kept, or the password is")
				}
			}
		}
		w.browser().post("/login", credentials(p.email, p.password)).want(http.StatusTooManyRequests)
		w.restart()
		w.browser().post("/login", credentials(p.email, p.password)).want(http.StatusTooManyRequests)
		owner.logIn(p, "").wantRedirect("/profile")
		w.clock.Advance(5 * time.Second)
		w.browser().post("/login", credentials(p.email, p.password)).wantRedirect("/profile")
	})
}

func TestAKnownBrowserIsSlowedByWhatItFailsItself(t *testing.T) {
	w := parallelWorld(t, embedded, options{slow: true})
	p := w.person("Ada")
	b := w.known(p)
	for n := range 8 {
		want := http.StatusUnprocessableEntity
		if n >= 5 {
			want = http.StatusTooManyRequests
		}
		b.post("/login", credentials(p.email, wrongPassword)).want(want)
	}
	// The browser is known for this account only.
	other := w.person("Bob")
	for range 5 {
		w.browser().post("/login", credentials(other.email, wrongPassword)).want(http.StatusUnprocessableEntity)
	}
	b.post("/login", credentials(other.email, other.password)).want(http.StatusTooManyRequests)
}

func TestOfABurstOfWrongPasswordsFewAreHashed(t *testing.T) {
	onBothStacksWith(t, options{slow: true}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		var mu sync.Mutex
		var all sync.WaitGroup
		statuses := map[int]int{}
		for range 60 {
			all.Go(func() {
				a := w.browser().post("/login", credentials(p.email, wrongPassword))
				mu.Lock()
				defer mu.Unlock()
				statuses[a.status]++
			})
		}
		all.Wait()
		if tried := statuses[http.StatusUnprocessableEntity]; tried != 5 || tried+statuses[http.StatusTooManyRequests] != 60 {
			t.Errorf("answers by status: %v", statuses)
		}
	})
}

func TestAnAddressThatTriesManyAccountsIsSlowed(t *testing.T) {
	w := parallelWorld(t, embedded, options{slow: true})
	statuses := map[int]int{}
	for n := range 40 {
		statuses[w.browser().post("/login", credentials(fmt.Sprintf("other%d@kelp.example", n), wrongPassword)).status]++
	}
	if slowed := statuses[http.StatusTooManyRequests]; slowed != 10 {
		t.Errorf("%d of 40 tries were held, want 10", slowed)
	}
}

func TestWhatIsNoAddressHoldsNobodyElseUp(t *testing.T) {
	w := parallelWorld(t, embedded, options{slow: true, mail: true})
	for n := range 8 {
		slip := fmt.Sprintf("ada%d", n)
		w.browser().post("/forgot", url.Values{"email": {slip}}).want(http.StatusUnprocessableEntity)
		w.browser().post("/login", credentials(slip, wrongPassword)).want(http.StatusUnprocessableEntity)
	}
}

func TestEveryFormOfAnAccountIsSlowed(t *testing.T) {
	w, p, member := withMember(t, embedded, options{slow: true})
	for path, form := range map[string]url.Values{
		"/register":         {"name": {"Bea"}, "email": {p.email}, "password": {otherPassword}},
		"/forgot":           {"email": {"nobody@kelp.example"}},
		"/reset":            {"token": {"x"}, "password": {otherPassword}},
		"/verify":           {"token": {"x"}},
		"/account/email":    {"email": {"bea@kelp.example"}},
		"/account/confirm":  {},
		"/account/password": {"current": {wrongPassword}, "new": {otherPassword}},
		"/account/proof":    {"password": {wrongPassword}},
		"/account/name":     {"name": {"Ada L."}},
	} {
		held := false
		for range 45 {
			a := member.post(path, form)
			if path == "/register" {
				a = w.browser().post(path, form)
			}
			if a.status == http.StatusTooManyRequests && a.header.Get("Retry-After") != "" && strings.Contains(a.text("[role=alert]"), "Too many attempts. Try again in ") {
				held = true
				break
			}
		}
		if !held {
			t.Errorf("%s takes any number of tries", path)
		}
		w.clock.Advance(25 * time.Hour)
		member = w.member(p)
	}
}

func TestWhoSpendsAResetLinkLogsInWhateverStrangersGuess(t *testing.T) {
	onBothStacksWith(t, options{mail: true, slow: true, trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		stranger, tries := w.browser(), 0
		guess := func() {
			for range 10 {
				tries++
				stranger.guess("/login", credentials(p.email, wrongPassword), tries)
			}
		}
		guess()
		b := w.browser()
		b.post("/login", credentials(p.email, p.password)).want(http.StatusTooManyRequests)
		b.post("/reset", url.Values{"token": {w.link(account.PurposeReset, p)}, "password": {otherPassword}}).wantRedirect("/login")
		guess()
		b.post("/login", credentials(p.email, otherPassword)).wantRedirect("/profile")
	})
}

func TestALinkIsNeverHeldUpByTokensThatAreNone(t *testing.T) {
	onBothStacksWith(t, options{mail: true, slow: true}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		held := false
		for n := range 60 {
			path := []string{"/verify", "/reset"}[n%2]
			form := url.Values{"token": {strings.Repeat("x", 43)}}
			if path == "/reset" {
				form.Set("password", otherPassword)
			}
			held = w.browser().post(path, form).status == http.StatusTooManyRequests
		}
		if !held {
			t.Error("tokens that are none are tried without end")
		}
		w.browser().post("/verify", url.Values{"token": {w.link(account.PurposeConfirm, p)}}).wantRedirect("/login")
		w.browser().post("/reset", url.Values{"token": {w.link(account.PurposeReset, p)}, "password": {otherPassword}}).wantRedirect("/login")
		for n := range 50 { // a school, which asks for links of its own
			if a := w.browser().post("/forgot", url.Values{"email": {fmt.Sprintf("pupil%d@school.example", n)}}); a.status != http.StatusSeeOther {
				t.Fatalf("request %d for a link: %d", n+1, a.status)
			}
		}
	})
}

// TestASchoolSignsUpAndConfirms from one IP address.
func TestASchoolSignsUpAndConfirms(t *testing.T) {
	t.Parallel()
	for _, mail := range []bool{false, true} {
		w := newWorld(t, embedded(t), options{mail: mail, slow: true})
		for n := range 50 {
			form := url.Values{"name": {"Pupil"}, "email": {fmt.Sprintf("pupil%d@school.example", n)}, "password": {otherPassword}}
			if a := w.browser().post("/register", form); a.status != http.StatusSeeOther {
				t.Fatalf("sign-up %d, with email %t: %d", n+1, mail, a.status)
			}
		}
		for n, p := 0, w.person("Ada"); mail && n < 50; n++ {
			w.browser().post("/verify", url.Values{"token": {w.link(account.PurposeConfirm, p)}}).wantRedirect("/login")
		}
	}
}

// Many attempts for one address run at the same time while another person logs in.
func TestManyAttemptsForOneAccountHoldUpNoOther(t *testing.T) {
	w := parallelWorld(t, embedded, options{hasher: password.NewHasher(password.Cost{MemoryKiB: 19456, Passes: 3}, 1, time.Hour)})
	bea := w.person("Bea")
	const attempts = 40
	var answered atomic.Int64
	first := make(chan struct{}, attempts)
	var all sync.WaitGroup
	for range attempts {
		all.Go(func() {
			w.browser().post("/login", credentials("ada@reef.example", sharedPassword)).want(http.StatusUnprocessableEntity)
			answered.Add(1)
			first <- struct{}{}
		})
	}
	<-first // the others are queued
	before := answered.Load()
	w.browser().post("/login", credentials(bea.email, bea.password)).wantRedirect("/profile")
	if waited := answered.Load() - before; waited > attempts/2 {
		t.Errorf("a login waited for %d of %d attempts for another account", waited, attempts)
	}
	all.Wait()
}
