package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/account"
	"holdfast/internal/dev/require"
	"holdfast/internal/mail"
	"holdfast/internal/product"
	"holdfast/internal/text"
	"holdfast/web"
)

// sendMail sends the emails in the outbox and returns those in the folder, newest
// first.
func (w *world) sendMail() []mail.Shown {
	w.t.Helper()
	for {
		found, err := w.post.Next(w.t.Context())
		require.NoError(w.t, err)
		if !found {
			break
		}
	}
	mails, err := w.folder.Latest()
	require.NoError(w.t, err)
	return mails
}

// mailTo sends the emails in the outbox and returns the latest one to an address with a
// subject.
func (w *world) mailTo(to, subject string) mail.Shown {
	w.t.Helper()
	for _, m := range w.sendMail() {
		if strings.Trim(m.To, "<>") == to && m.Subject == subject {
			return m
		}
	}
	w.t.Fatalf("no mail to %s with subject %q", to, subject)
	return mail.Shown{}
}

var linkLine = regexp.MustCompile(`(?m)^https?://\S+\?token=(\S+)$`)

// linkIn returns the URL of the only link in an email. When the test ends, it checks
// that the log does not contain the link's token.
func (w *world) linkIn(m mail.Shown) string {
	w.t.Helper()
	found := linkLine.FindAllStringSubmatch(m.Text, -1)
	if len(found) != 1 {
		w.t.Fatalf("%d links in %q", len(found), m.Text)
	}
	w.t.Cleanup(func() {
		if strings.Contains(w.log.String(), found[0][1]) {
			w.t.Error("the log has the token of a mailed link")
		}
	})
	if !strings.HasPrefix(found[0][0], w.base.String()+"/") {
		w.t.Errorf("the link %s leads elsewhere than %s", found[0][0], w.base)
	}
	return strings.TrimPrefix(found[0][0], w.base.String())
}

func credentials(email, password string) url.Values {
	return url.Values{"email": {email}, "password": {password}}
}

const (
	otherPassword = "quiet harbours freeze late"
	wrongPassword = "loud harbours freeze never"
)

func TestGuessingIsSlowedButNotOnABrowserThatIsKnown(t *testing.T) {
	t.Parallel()
	onBothStacksWith(t, options{slow: true}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		owner := w.browser()
		owner.logIn(p, "").wantRedirect("/profile")
		owner.submit(owner.get("/profile"), "form[action='/logout']", nil).wantRedirect("/login")

		spellings := []string{p.email, strings.ToUpper(p.email), "  " + p.email + " ", "\t" + p.email, strings.ToUpper(p.email[:3]) + p.email[3:]}
		guess := func(email string, n int) *answer {
			attacker := w.browser() // keeps no cookie
			r := attacker.request("POST", "/login", strings.NewReader(credentials(email, wrongPassword).Encode()))
			r.Header.Set("Content-Type", urlencoded)
			r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", n))
			r.Header.Set("X-Real-IP", fmt.Sprintf("198.51.100.%d", n))
			return attacker.do(r)
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
				if known.header.Get("Retry-After") != "5" || known.text("#email-error") != "Too many attempts. Try again in 5 seconds." {
					t.Errorf("Retry-After %q, %q", known.header.Get("Retry-After"), known.text("#email-error"))
				}
				if known.doc().Find("input#email").AttrOr("value", "") == "" || known.doc().Find("input#password").AttrOr("value", "") != "" {
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
	t.Parallel()
	w := newWorld(t, embedded(t), options{slow: true})
	p := w.person("Ada")
	b := w.browser()
	b.logIn(p, "").wantRedirect("/profile")
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
	t.Parallel()
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
	t.Parallel()
	w := newWorld(t, embedded(t), options{slow: true})
	slowed := 0
	for n := range 40 {
		a := w.browser().post("/login", credentials(fmt.Sprintf("somebody%d@kelp.example", n), wrongPassword))
		if a.status == http.StatusTooManyRequests {
			slowed++
		}
	}
	if slowed != 10 {
		t.Errorf("%d of 40 tries were held, want 10", slowed)
	}
}

func TestWhatIsNoAddressHoldsNobodyElseUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{slow: true, mail: true})
	for n := range 8 {
		slip := fmt.Sprintf("ada%d", n)
		w.browser().post("/forgot", url.Values{"email": {slip}}).want(http.StatusUnprocessableEntity)
		w.browser().post("/login", credentials(slip, wrongPassword)).want(http.StatusUnprocessableEntity)
	}
}

func TestEveryFormOfAnAccountIsSlowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{slow: true})
	p := w.person("Ada")
	member := w.member(p)
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

func TestAForgottenPasswordIsReplacedByAMailedLink(t *testing.T) {
	t.Parallel()
	onBothStacksWith(t, options{mail: true, slow: true}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		old := w.member(p)
		b := w.browser()
		asked := b.submit(b.get("/forgot").want(http.StatusOK), "form[action='/forgot']", map[string]string{"email": strings.ToUpper(p.email)}).wantRedirect("/login")
		nobody := w.browser().post("/forgot", url.Values{"email": {"nobody@kelp.example"}}).wantRedirect("/login")
		if a, b := fmt.Sprint(asked.cookies), fmt.Sprint(nobody.cookies); a != b || string(asked.body) != string(nobody.body) {
			t.Errorf("the response reveals whether there is an account: %s, %s", a, b)
		}
		if notices := b.follow(asked).want(http.StatusOK).notices(); len(notices) != 1 || !strings.HasPrefix(notices[0], "If that address has an account, an email") {
			t.Errorf("notices %q", notices)
		}
		mails := w.sendMail()
		if len(mails) != 1 {
			t.Fatalf("%d mails: %+v", len(mails), mails)
		}
		link := w.linkIn(w.mailTo(p.email, "Choose a new password"))
		other := w.link(account.PurposeReset, p)

		before := w.everything()
		for range 3 {
			page := b.get(link).want(http.StatusOK)
			if page.header.Get("Referrer-Policy") != "strict-origin" {
				t.Errorf("Referrer-Policy %q", page.header.Get("Referrer-Policy"))
			}
		}
		b.do(b.request("HEAD", link, nil))
		w.wantUnchanged(before, "opening the link")

		b.submit(b.get(link), "form[action='/reset']", map[string]string{"password": "short"}).want(http.StatusUnprocessableEntity)
		set := b.submit(b.get(link), "form[action='/reset']", map[string]string{"password": otherPassword}).wantRedirect("/login")
		if b.token() != "" {
			t.Error("a reset logs in")
		}
		if notices := b.follow(set).notices(); len(notices) != 1 || !strings.HasPrefix(notices[0], "Your password has been changed") {
			t.Errorf("notices %q", notices)
		}
		old.get("/profile").wantRedirect("/login?next=%2Fprofile")
		b.get(link).want(http.StatusGone)
		b.post("/reset", url.Values{"token": {strings.TrimPrefix(link, "/reset?token=")}, "password": {sharedPassword}}).want(http.StatusGone)
		b.get("/reset?token=" + other).want(http.StatusGone)
		b.post("/login", credentials(p.email, p.password)).want(http.StatusUnprocessableEntity)
		b.post("/login", credentials(p.email, otherPassword)).wantRedirect("/profile")
		w.mailTo(p.email, "Your password was changed")
	})
}

func TestALinkIsGoodForItsTimeAndFromThisSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{mail: true})
	p := w.person("Ada")
	r := w.browser().request("POST", "/forgot", strings.NewReader(url.Values{"email": {p.email}}.Encode()))
	r.Header.Set("Content-Type", urlencoded)
	r.Host = "evil.example"
	r.Header.Set("X-Forwarded-Host", "evil.example")
	r.Header.Del("Origin")
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
		path := "/verify?token="
		if purpose == account.PurposeReset {
			path = "/reset?token="
		}
		token := w.link(purpose, p)
		w.clock.Advance(life - time.Minute)
		w.browser().get(path + token).want(http.StatusOK)
		w.clock.Advance(time.Minute)
		w.browser().get(path + token).want(http.StatusGone)
		w.browser().get(map[string]string{"/reset?token=": "/verify?token=", "/verify?token=": "/reset?token="}[path] + w.link(purpose, p)).want(http.StatusGone)
	}
}

func TestSigningUpTellsNobodyWhoIsRegisteredWhereMailIsOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{mail: true})
	p := w.person("Ada")
	sign := func(email string) *answer {
		b := w.browser()
		a := b.submit(b.get("/register"), "form[action='/register']", map[string]string{
			"name": "Bea", "email": email, "password": otherPassword,
		}).wantRedirect("/login")
		if b.token() != "" {
			t.Error("signing up logs in")
		}
		return a
	}
	fresh, taken := sign("bea@kelp.example"), sign(p.email)
	for name := range fresh.header {
		if name != "Date" && fmt.Sprint(fresh.header[name]) != fmt.Sprint(taken.header[name]) {
			t.Errorf("header %s: %q and %q", name, fresh.header[name], taken.header[name])
		}
	}
	if len(fresh.header) != len(taken.header) || string(fresh.body) != string(taken.body) {
		t.Error("the answers differ")
	}
	bea := w.browser()
	page := bea.follow(bea.post("/login", credentials("bea@kelp.example", otherPassword)).wantRedirect("/profile"))
	if notices := page.notices(); len(notices) != 1 || !strings.Contains(notices[0], "not confirmed yet") {
		t.Errorf("notices %q", notices)
	}
	w.browser().post("/login", credentials(p.email, otherPassword)).want(http.StatusUnprocessableEntity)

	owner := w.mailTo(p.email, "You already have an account")
	if strings.Contains(owner.Text, "Bea") || len(linkLine.FindString(owner.Text)) > 0 {
		t.Errorf("the email to the owner says %q", owner.Text)
	}
	link := w.linkIn(w.mailTo("bea@kelp.example", "Confirm your email address"))
	bea.get("/account").want(http.StatusOK).wantText(".overview strong", "not confirmed yet")
	confirmed := bea.submit(bea.get(link).want(http.StatusOK), "form[action='/verify']", nil).wantRedirect("/account")
	if notices := bea.follow(confirmed).notices(); len(notices) != 1 || notices[0] != "Your email address is confirmed." {
		t.Errorf("notices %q", notices)
	}
	bea.get(link).want(http.StatusOK).wantText("h1", "Your email address is confirmed")
	if page := bea.get("/account"); strings.Contains(string(page.body), "not confirmed") {
		t.Error("the address is still not confirmed")
	}
}

func TestAChangedPasswordEndsEveryOtherSessionAndRenewsThisOne(t *testing.T) {
	t.Parallel()
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
			if said := page.doc().Find(".field-error"); page.doc().Find("input[type=password][value]").Length() > 0 || said.Length() != sent.errors {
				t.Errorf("%s: a password comes back, or it says %q", name, said.Text())
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
		for _, out := range append(others, thief) {
			out.get("/profile").wantRedirect("/login?next=%2Fprofile")
		}
		if past := b.get("/devices").text(".past"); strings.Count(past, "Ended when the password was changed") != 3 || strings.Contains(past, "Replaced") {
			t.Errorf("past sessions: %q", past)
		}
		w.browser().get("/reset?token=" + link).want(http.StatusGone)
		w.browser().post("/login", credentials(p.email, p.password)).want(http.StatusUnprocessableEntity)
		w.mailTo(p.email, "Your password was changed")
	})
}

func TestNoLogInWithTheOldPasswordOutlivesTheChange(t *testing.T) {
	t.Parallel()
	onBothStacksWith(t, options{}, func(t *testing.T, w *world) {
		for range 6 {
			p := w.person("Ada")
			b := w.member(p)
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

func TestAnAddressIsChangedByTheNewOneAndRestoredByTheOld(t *testing.T) {
	t.Parallel()
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		p, other := w.person("Ada"), w.person("Bob")
		b := w.member(p)
		free := b.submit(b.get("/account/email").want(http.StatusOK), "form[action='/account/email']", map[string]string{"email": "new@kelp.example"}).wantRedirect("/account")
		taken := b.post("/account/email", url.Values{"email": {other.email}}).wantRedirect("/account")
		if string(free.body) != string(taken.body) || len(free.cookies) != len(taken.cookies) {
			t.Error("the response reveals whether an address is taken")
		}
		w.mailTo(other.email, "Someone tried to use your email address")
		link := w.linkIn(w.mailTo("new@kelp.example", "Confirm your new email address"))
		w.browser().post("/login", credentials("new@kelp.example", p.password)).want(http.StatusUnprocessableEntity)
		w.browser().get(link).want(http.StatusOK).wantText("main strong", "new@kelp.example")
		b.submit(b.get(link), "form[action='/verify']", nil).wantRedirect("/account")
		b.get(link).want(http.StatusOK).wantText("h1", "Your email address is confirmed")
		w.browser().post("/login", credentials("new@kelp.example", p.password)).wantRedirect("/profile")
		w.browser().post("/login", credentials(p.email, p.password)).want(http.StatusUnprocessableEntity)

		// Someone who took over the account cannot prevent the undo.
		b.post("/account/password", url.Values{"current": {p.password}, "new": {otherPassword}}).wantRedirect("/account")
		undo := w.linkIn(w.mailTo(p.email, "Your email address was changed"))
		w.clock.Advance(6 * 24 * time.Hour)
		owner := w.browser()
		undone := owner.submit(owner.get(undo).want(http.StatusOK), "form[action='/verify']", nil).wantReset()
		b.get("/profile").wantRedirect("/login?next=%2Fprofile")
		w.browser().post("/login", credentials("new@kelp.example", otherPassword)).want(http.StatusUnprocessableEntity)
		for _, known := range []string{p.password, otherPassword} {
			w.browser().post("/login", credentials(p.email, known)).want(http.StatusUnprocessableEntity)
		}
		owner.submit(owner.follow(undone), "form[action='/reset']", map[string]string{"password": "nine otters share a kettle"}).wantRedirect("/login")
		owner.post("/login", credentials(p.email, "nine otters share a kettle")).wantRedirect("/profile")
	})
}

func TestADeletedAccountLeavesNothingOfThePerson(t *testing.T) {
	t.Parallel()
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		p := w.person("Ada Nobody-Else")
		b, other := w.browser(), w.member(p)
		b.logIn(p, "").wantRedirect("/profile")
		link := w.link(account.PurposeReset, p)
		w.sendMail()
		page := b.get("/account/delete").want(http.StatusOK)
		b.follow(b.submit(page, "form[action='/account/delete']", map[string]string{"email": p.email}).wantRedirect("/")).want(http.StatusOK).wantText(".notice", "Your account has been deleted, and you are logged out everywhere.")
		for _, out := range []*browser{b, other} {
			out.get("/profile").wantRedirect("/login?next=%2Fprofile")
		}
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
		if rows := w.rows(`SELECT session_key FROM revocations`); len(rows) != 2 {
			t.Errorf("%d hashes keep sessions ended, want 2", len(rows))
		}
	})
}

func TestWhatMayDoHarmAsksForThePasswordAgainAfterTenMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{})
	p := w.person("Ada")
	b := w.member(p)
	w.member(p)
	id := b.otherDevices()[0]
	w.clock.Advance(10 * time.Minute)
	b.get("/profile").want(http.StatusOK) // records the last use
	before := w.everything()
	typed := "/account/email?account=" + web.AccountValue(p.id) + "&email=bea%40kelp.example"
	for route, next := range map[string]string{
		"POST /devices/end":        "/devices",
		"POST /devices/end-others": "/devices",
		"GET /account/email":       "/account/email",
		"POST /account/email":      typed,
		"GET /account/export":      "/account/export",
		"GET /account/delete":      "/account/delete",
		"POST /account/delete":     "/account/delete",
	} {
		method, path, _ := strings.Cut(route, " ")
		var a *answer
		if method == "GET" {
			a = b.get(path)
		} else {
			a = b.post(path, map[string]url.Values{"/devices/end": {"id": {id}}, "/account/email": {"email": {"bea@kelp.example"}}}[path])
		}
		a.wantRedirect("/account/proof?next=" + url.QueryEscape(next))
	}
	old, page := b.token(), b.get("/account/proof?next="+url.QueryEscape(typed)).want(http.StatusOK)
	b.submit(page, "form[action='/account/proof']", map[string]string{"password": wrongPassword}).want(http.StatusUnprocessableEntity).wantNoCookie()
	w.wantUnchangedBut(before, "asking without proof", "history", "devices")
	given := b.submit(page, "form[action='/account/proof']", map[string]string{"password": p.password}).wantRedirect(typed)
	if b.token() == old {
		t.Error("the token is the old one")
	}
	if got := b.follow(given).want(http.StatusOK).doc().Find("input#email").AttrOr("value", ""); got != "bea@kelp.example" {
		t.Errorf("what was typed became %q", got)
	}
	b.get("/profile").wantText("dl.facts dt:contains('Logged in') + dd", "just now")
	b.post("/devices/end-others", nil).wantRedirect("/devices")
	b.get("/account/export").want(http.StatusOK)
	w.clock.Advance(9 * time.Minute)
	b.get("/account/delete").want(http.StatusOK)
}

func TestTheHistoryTellsWhatHappenedAPageAtATime(t *testing.T) {
	t.Parallel()
	onBothStacksWith(t, options{}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		b := w.browser()
		b.agent = `<script>alert(1)</script> Firefox`
		for _, act := range []func(){
			func() {
				w.browser().post("/login", credentials(p.email, wrongPassword)).want(http.StatusUnprocessableEntity)
			},
			func() { b.logIn(p, "").wantRedirect("/profile") },
			func() { w.member(p) },
			func() { b.post("/devices/end-others", nil).wantRedirect("/devices") },
			func() { b.post("/account/name", url.Values{"name": {"Ada King"}}).wantRedirect("/account") },
			func() {
				b.post("/account/proof", url.Values{"password": {wrongPassword}}).want(http.StatusUnprocessableEntity)
			},
			func() { b.post("/account/proof", url.Values{"password": {p.password}}).wantRedirect("/account") },
			func() {
				b.post("/account/password", url.Values{"current": {p.password}, "new": {otherPassword}}).wantRedirect("/account")
			},
			func() { b.submit(b.get("/profile"), "form[action='/logout']", nil).wantRedirect("/login") },
			func() { b.post("/login", credentials(p.email, otherPassword)).wantRedirect("/profile") },
		} {
			act()
			w.clock.Advance(time.Second)
		}
		var got []string
		for _, item := range b.get("/account/history").want(http.StatusOK).doc().Find(".ended b").EachIter() {
			got = append(got, item.Text())
		}
		want := "Logged in|Logged out|Password changed|Password confirmed|Wrong password entered while logged in|Name changed|" +
			"Logged out all other devices|Logged in from a new browser|Failed login: wrong password"
		if strings.Join(got, "|") != want {
			t.Errorf("history %q", got)
		}
		for range 40 {
			require.NoError(t, w.accounts.Audit(t.Context(), p.id, account.EventLogIn, text.Sender{}))
		}
		first := b.get("/account/history").want(http.StatusOK)
		second := b.get(first.doc().Find("a[rel=next]").AttrOr("href", "")).want(http.StatusOK)
		if n := first.doc().Find(".ended li").Length() + second.doc().Find(".ended li").Length(); n != 49 {
			t.Errorf("%d events on two pages, want 49", n)
		}
		w.member(w.person("Bob")).get("/account/history").want(http.StatusOK).wantText(".ended", "").wantText(".empty", "Nothing to show yet.")

		for _, days := range []int64{89, 91} {
			want := map[int64]int{89: 49, 91: 0}[days]
			if _, err := w.db.SQL().ExecContext(t.Context(), `UPDATE history SET at_ms = $1`, time.Now().Add(-time.Duration(days)*24*time.Hour).UnixMilli()); err != nil {
				t.Fatal(err)
			}
			require.NoError(t, w.db.Tidy(t.Context()))
			if n := len(w.rows(`SELECT id FROM history`)); n != want {
				t.Errorf("%d events after %d days, want %d", n, days, want)
			}
		}
	})
}

func TestTheDownloadHasAllThatIsKeptOfThePersonAndNothingToLogInWith(t *testing.T) {
	t.Parallel()
	onBothStacksWith(t, options{}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		b := w.browser()
		b.logIn(p, "").wantRedirect("/profile")
		w.member(p)
		b.post("/devices/end-others", nil).wantRedirect("/devices")
		a := b.get("/account/export").want(http.StatusOK)
		var all struct {
			Person   map[string]any
			Sessions []map[string]any
			History  []map[string]any
		}
		require.NoError(t, json.Unmarshal(a.body, &all))
		if all.Person["email"] != p.email || all.Person["name"] != p.name || len(all.Sessions) != 2 || len(all.History) != 2 {
			t.Errorf("%s", a.body)
		}
		if !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("headers %v", a.header)
		}
		for _, row := range append(w.rows(`SELECT session_key FROM devices`), w.rows(`SELECT hash FROM browsers`)...) {
			if strings.Contains(string(a.body), row) {
				t.Errorf("the download has the hash %s", row)
			}
		}
		if strings.Contains(string(a.body), "argon2") {
			t.Error("the download has the password's hash")
		}
	})
}

func TestALogInFromABrowserNotSeenBeforeIsToldWithALinkThatEndsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{mail: true})
	p := w.person("Ada")
	owner := w.browser()
	owner.logIn(p, "").wantRedirect("/profile")
	w.mailTo(p.email, "New login to your account")
	mails := len(w.sendMail())
	owner.submit(owner.get("/profile"), "form[action='/logout']", nil).wantRedirect("/login")
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
	thief.get("/profile").wantRedirect("/login?next=%2Fprofile")
	thief.post("/login", credentials(p.email, p.password)).want(http.StatusUnprocessableEntity)
}

func TestTheDeviceCookieIsHashedIsOnesOwnAndLogsNobodyIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{slow: true})
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
	thief.get("/profile").wantRedirect("/login?next=%2Fprofile")
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

func TestNobodysWordsInAUserAgentGetIntoAMail(t *testing.T) {
	t.Parallel()
	for userAgent, want := range map[string]string{
		"Your account is locked: go to evil.example/1": "Unknown browser",
		"call 0800123456":                              "Unknown browser",
		"evil.example/1.0":                             "Unknown browser",
		"Call Zero Eight Hundred Now To Save/1":        "Unknown browser",
		"Call-Zero-Eight-Hundred":                      "Unknown browser",
		"Mozilla/5.0 (X11; Linux x86_64) Call Now/1.0": "Unknown browser on Linux",
		"curl/8.5.0":                                   "curl",
		"python-requests/2":                            "python-requests",
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0": "Firefox on Linux",
	} {
		if got := web.BrowserWords(userAgent); got != want {
			t.Errorf("%q: %q, want %q", userAgent, got, want)
		}
	}
}

func TestMailIsReadOnItsPageWithALinkToFollow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{learn: true})
	b := w.browser()
	b.get("/mail").want(http.StatusOK).wantText("article", "")
	b.submit(b.get("/register"), "form[action='/register']", map[string]string{
		"name": "<b>Bea</b>", "email": "bea@kelp.example", "password": otherPassword,
	}).wantRedirect("/profile")
	w.sendMail()
	page := b.get("/mail").want(http.StatusOK).wantText("article h2", "Confirm your email address")
	if page.doc().Find("article details[open]").Length() != 1 {
		t.Error("the only mail is not open")
	}
	link := page.doc().Find("article a.button").AttrOr("href", "")
	b.get("/account").want(http.StatusOK).wantText("main a[href='/mail']", "Read your email on the Mail page")
	asked := b.follow(b.post("/account/confirm", nil).wantRedirect("/account"))
	asked.wantText("[role=status] a[href='/mail']", "read it on the Mail page")
	if want := []string{"We wrote you an email. No mail server is set up, so read it on the Mail page."}; !slices.Equal(asked.notices(), want) {
		t.Errorf("the notice of the mail is %q, want %q", asked.notices(), want)
	}
	b.submit(b.get(link).want(http.StatusOK), "form[action='/verify']", nil).wantRedirect("/account")
}

func TestTheLatestMailIsOpenAndTwentyAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{learn: true})
	for n := range 21 {
		sent := mail.Message{To: "ada@kelp.example", Subject: "Mail " + strconv.Itoa(n), Text: "After that, go to\n" + w.base.String() + "/forgot.", Date: w.clock.Now().Add(time.Duration(n) * time.Second)}
		require.NoError(t, w.folder.Send(t.Context(), sent))
	}
	page := w.browser().get("/mail").want(http.StatusOK)
	subjects := page.doc().Find("article h2").Map(func(_ int, h2 *goquery.Selection) string { return h2.Text() })
	if len(subjects) != 20 || subjects[0] != "Mail 20" || subjects[19] != "Mail 1" {
		t.Errorf("of 21 mails it shows %q", subjects)
	}
	page.wantText("article details[open] h2", "Mail 20").wantText("article details[open] p", "After that, go to "+w.base.String()+"/forgot.").wantText("article .button", "")
}

func TestPasswordManagersFindWhereToChangeThePassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{})
	b := w.member(w.person("Ada"))
	b.follow(b.get("/.well-known/change-password").wantRedirect("/account/password")).want(http.StatusOK).wantText("h1", "Change your password")
}
