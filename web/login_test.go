package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/product"
)

func TestAPersonRegistersLogsOutLogsInAndIsGreeted(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		b := w.browser()
		w.secrets.add("nine otters share a kettle")
		home := b.get("/").want(http.StatusOK).wantNoCookie()
		if home.count("a[href='/register']") == 0 || home.count("a[href='/login']") == 0 {
			t.Error("the first page leads a guest neither to register nor to log in")
		}
		registered := b.register(" Ada Lovelace ", " Ada@Kelp.Example ", "nine otters share a kettle").wantRedirect("/profile")
		b.follow(registered).want(http.StatusOK).wantText("h1", "Hello, Ada Lovelace!")
		b.get("/").want(http.StatusOK).wantText("h1", "Hello, Ada Lovelace!").wantText(".person", "Ada Lovelace")

		b.logOut()
		wantLoggedOut(b)
		b.get("/").want(http.StatusOK)

		ada := person{email: "aDA@kelp.EXAMPLE ", password: "nine otters share a kettle"}
		b.follow(b.logIn(ada, "")).want(http.StatusOK).wantText("h1", "Hello, Ada Lovelace!")
		if rows := w.rows(`SELECT name, email, email_key FROM people`); len(rows) != 1 || rows[0] != "Ada Lovelace | Ada@Kelp.Example | ada@kelp.example" {
			t.Errorf("people: %q", rows)
		}
	})
}

func TestASessionOutlivesTheServerAndCountsItsStarts(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		b := w.member(w.person("Ada"))
		outlived := "dl.facts dt:contains('Server restarts survived') + dd"
		b.get("/profile").want(http.StatusOK).wantText(outlived, "none yet").wantText(".warm", "")
		token := b.token()
		for i, times := range []string{"1 time", "2 times", "3 times"} {
			w.restart()
			page := b.get("/profile").want(http.StatusOK).wantNoCookie()
			page.wantText("h1", "Hello, Ada!").wantText(outlived, strconv.Itoa(i+1))
			page.wantText(".warm", "This session survived a server restart.")
			page.wantText("dt:contains('Instance') + dd", fmt.Sprintf("restarted %s, process ID %d", times, os.Getpid()))
		}
		if b.token() != token {
			t.Error("the token changed although no one logged in")
		}
	})
}

func TestTheProfileTellsTheTimesOfTheSession(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	b, loggedIn := w.member(w.person("Ada")), w.clock.Now()
	w.clock.Advance(3 * time.Hour)
	page := b.get("/profile").want(http.StatusOK)
	for fact, want := range map[string]string{
		"Logged in":          "3 hours ago",
		"Previous visit":     "3 hours ago",
		"Ends if idle":       "in 21 hours", // 24 hours after the last use
		"Ends no later than": "in 7 days",   // 3 hours less, rounded
		"Started":            "3 hours ago",
	} {
		page.wantMoment(fact, want)
	}
	page.wantText("dt:contains('When you close the browser') + dd", "You are logged out, unless it restores your tabs.")
	page = b.get("/profile").want(http.StatusOK)
	page.wantText("dt:contains('Previous visit') + dd", "just now")
	page.wantMoment("Ends if idle", "in 1 day")
	if ends := page.wantMoment("Ends no later than", "in 7 days"); ends.Sub(loggedIn.Truncate(time.Second)) != sessionLife {
		t.Errorf("ends at %s, want 7 days after the log-in, whatever the activity", ends)
	}
}

// wantMoment checks the words for a time on the profile page, and the date that follows
// them. It returns that time.
func (a *answer) wantMoment(fact, words string) time.Time {
	a.t.Helper()
	row := "dl.facts > div:has(dt:contains('" + fact + "'))"
	at, err := time.Parse(time.RFC3339, a.doc().Find(row+" time").AttrOr("datetime", ""))
	require.NoError(a.t, err)
	a.wantText(row+" dd", words+", "+at.In(time.Local).Format("Mon 2 Jan 15:04 MST"))
	return at
}

func TestAnIdleSessionEnds(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		b := w.member(w.person("Ada"))
		for range 3 { // use keeps it alive
			w.clock.Advance(sessionIdle - time.Minute)
			b.get("/profile").want(http.StatusOK)
		}
		w.clock.Advance(sessionIdle + time.Second)
		wantLoggedOut(b)
		w.clock.Advance(-sessionIdle) // turning back the clock does not restore it
		wantLoggedOut(b)
	})
}

func TestNoActivityKeepsASessionBeyondItsLifetime(t *testing.T) {
	w, _, b := withMember(t, embedded, options{})
	for range 13 {
		w.clock.Advance(12 * time.Hour)
		b.post("/session", url.Values{"key": {"at"}, "value": {w.clock.Now().String()}}).wantRedirect("/session")
		b.get("/profile").want(http.StatusOK)
	}
	w.clock.Advance(12*time.Hour + time.Second)
	wantLoggedOut(b)
}

func TestARememberedSessionLivesThirtyDaysUnused(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		b, p := w.browser(), w.person("Ada")
		b.submit(b.get("/login"), "form[action='/login']", map[string]string{
			"email": p.email, "password": p.password, "remember": "on",
		}).wantRedirect("/profile")
		b.get("/profile").wantText("dt:contains('When you close the browser') + dd", "You stay logged in.")
		b.get("/login").wantRedirect("/profile")
		w.clock.Advance(sessionLonger - time.Minute)
		b.get("/profile").want(http.StatusOK)
		w.clock.Advance(2 * time.Minute)
		wantLoggedOut(b)
	})
}

func TestLogOutEndsTheSessionAtTheServer(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		p := w.person("Ada")
		b, other := w.member(p), w.member(p)
		token := b.token()
		b.logOut().wantHeader("Clear-Site-Data", "") // for which Chromium searches its whole cache
		if b.token() != "" {
			t.Error("the browser still has its cookie")
		}
		w.wantNotStored(token)
		cookie := "Cookie: " + product.SessionCookie + "=" + token
		w.bare("GET", "/profile", "", cookie).wantRedirect("/login?next=%2Fprofile")
		w.bare("POST", "/session", "key=a&value=b", cookie, "Content-Type: "+urlencoded).wantRedirect("/session")
		w.wantNotStored(token)
		other.get("/profile").want(http.StatusOK) // the person's other session is unaffected
	})
}

func TestEveryPageOfAMemberHasTheWayOut(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	b := w.member(w.person("Ada"))
	for path, page := range b.crawl() {
		isPage := page.status == http.StatusOK && strings.HasPrefix(page.header.Get("Content-Type"), "text/html")
		if isPage && page.count("form[method=post][action='/logout'] button") == 0 {
			t.Errorf("%s has no log-out button", path)
		}
	}
}

func TestWhoIsLoggedInIsSentOnFromLogInAndRegister(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	b := w.member(w.person("Ada"))
	for _, path := range []string{"/login", "/register"} {
		b.get(path).wantRedirect("/profile").wantNoCookie()
		b.get(path + "?next=/session").wantRedirect("/session").wantNoCookie()
	}
}

func TestWrongAndUnknownLookTheSame(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	ada, eve := w.person("Ada"), w.person("Eve")
	_, err := w.accounts.SetDisabled(t.Context(), eve.id, true)
	require.NoError(t, err)
	before := w.everything()
	var pages []string
	for _, try := range []person{
		{email: ada.email, password: "not the one for this person"},
		{email: "nobody1@kelp.example", password: ada.password},
		{email: eve.email, password: eve.password}, // disabled
	} {
		b := w.browser()
		page := b.logIn(try, "/session").want(http.StatusUnprocessableEntity).wantNoCookie()
		page.wantText(".errors li", "That email and password do not match.").wantText("#email-error", "That email and password do not match.")
		page.wantText("title", "Error: Log in · Holdfast")
		page.wantValue("input#email", try.email).wantValue("input#password", "").wantValue("input[name=next]", "/session")
		page.doc().Find("input#email").RemoveAttr("value")
		html, err := page.doc().Html()
		require.NoError(t, err)
		pages = append(pages, html)
	}
	if pages[0] != pages[1] || pages[0] != pages[2] {
		t.Error("the three pages differ in more than the email address")
	}
	w.wantUnchanged(before, "a failed log-in", "history")
}

func TestAPasswordIsTakenWholeAndInEitherUnicodeForm(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	for i, c := range []struct {
		chosen, tried string
		status        int
	}{
		{strings.Repeat("kelp & rock ", 8) + "x", strings.Repeat("kelp & rock ", 8) + "y", 422},
		{"caf\u00e9 au lait for two", "cafe\u0301 au lait for two", 303},
		{" spaces stay in place ", "spaces stay in place", 422},
		{"海藻はいわにしがみつくもの夜も昼", "海藻はいわにしがみつくもの夜も昼", 303},
	} {
		email := fmt.Sprintf("pw%d@kelp.example", i)
		w.browser().register("Ada", email, c.chosen).wantRedirect("/profile")
		w.browser().logIn(person{email: email, password: c.tried}, "").want(c.status)
	}
}

func TestAWeakPasswordIsRefusedWithTheReason(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	before := w.everything()
	for weak, reason := range map[string]string{
		"fourteen chars": "Password must be at least 15 characters. You entered 14.",
		"🦭🦭🪨🪨🌊🌊🦀🦀🐚🐚🐟🐟🐙🐙": "Password must be at least 15 characters. You entered 14.",
		"ada.lovelace@x.y":                           "This is mostly your name or email address",
		strings.Repeat(product.Slug, 15) + "1234567": "This is mostly the name of this site",
		"abcdefghijklmnopq":                          "This is a sequence or a repetition",
		strings.Repeat("ab c", 300):                  "Password must be 1,024 bytes or fewer.",
	} {
		page := w.browser().register("Ada Lovelace", "ada.lovelace@x.y", weak).want(http.StatusUnprocessableEntity)
		if got := page.text("#password-error"); !strings.HasPrefix(got, reason) {
			t.Errorf("%.30q is refused with %q, want %q", weak, got, reason)
		}
		page.wantValue("input#name", "Ada Lovelace").wantValue("input#password", "")
	}
	w.wantUnchanged(before, "a refused registration")
}
