package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
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
		if home.doc().Find("a[href='/register']").Length() == 0 || home.doc().Find("a[href='/login']").Length() == 0 {
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
		for starts, words := range []string{1: "1", 2: "2", 3: "3"} {
			if starts == 0 {
				continue
			}
			w.restart()
			page := b.get("/profile").want(http.StatusOK).wantNoCookie()
			page.wantText("h1", "Hello, Ada!").wantText(outlived, words)
			page.wantText(".warm", "This session survived a server restart.")
			page.wantText("dt:contains('Instance') + dd", fmt.Sprintf("restarted %s, process ID %d", []string{1: "1 time", 2: "2 times", 3: "3 times"}[starts], os.Getpid()))
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
		"Logged in":                  "3 hours ago, DATE",
		"Previous visit":             "3 hours ago, DATE",
		"Ends if idle":               "in 21 hours, DATE", // 24 hours after the last use
		"Ends no later than":         "in 7 days, DATE",   // 3 hours less, rounded
		"When you close the browser": "You are logged out, unless it restores your tabs.",
		"Started":                    "3 hours ago, DATE",
	} {
		got := ""
		for _, row := range page.doc().Find("dl.facts > div").EachIter() {
			if row.Find("dt").Text() == fact {
				got = row.Find("dd").Text()
				want = withDate(t, want, row.Find("time").AttrOr("datetime", ""), w.clock.Now().Location())
			}
		}
		if strings.TrimSpace(got) != want {
			t.Errorf("%s: %q, want %q", fact, got, want)
		}
	}
	page = b.get("/profile").want(http.StatusOK)
	page.wantText("dt:contains('Previous visit') + dd", "just now")
	page.wantText("dt:contains('Ends if idle') + dd", withDate(t, "in 1 day, DATE",
		page.doc().Find("dt:contains('Ends if idle') + dd time").AttrOr("datetime", ""), w.clock.Now().Location()))
	if at := page.doc().Find("dt:contains('Ends no later than') + dd time").AttrOr("datetime", ""); at == "" {
		t.Error("no machine-readable end")
	} else if ends, err := time.Parse(time.RFC3339, at); err != nil || ends.Sub(loggedIn.Truncate(time.Second)) != sessionLife {
		t.Errorf("ends at %s (%v), want 7 days after the log-in, whatever the activity", at, err)
	}
}

// withDate replaces DATE with the date and time of day of a machine-readable time.
func withDate(t *testing.T, words, datetime string, zone *time.Location) string {
	t.Helper()
	if !strings.Contains(words, "DATE") {
		return words
	}
	at, err := time.Parse(time.RFC3339, datetime)
	require.NoError(t, err)
	return strings.Replace(words, "DATE", at.In(zone).Format("Mon 2 Jan 15:04 MST"), 1)
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
	w := parallelWorld(t, embedded, options{})
	b := w.member(w.person("Ada"))
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
		out := b.logOut()
		if got := out.header.Get("Clear-Site-Data"); got != "" {
			t.Errorf("Clear-Site-Data is %q, for which Chromium searches its whole cache", got)
		}
		if b.token() != "" {
			t.Error("the browser still has its cookie")
		}
		if stored := w.record(token); stored != "" {
			t.Errorf("still stored: %s", stored)
		}
		w.bare("GET", "/profile", "", "Cookie: "+product.SessionCookie+"="+token).wantRedirect("/login?next=%2Fprofile")
		w.bare("POST", "/session", "key=a&value=b", "Cookie: "+product.SessionCookie+"="+token,
			"Content-Type: "+urlencoded).wantRedirect("/session")
		if stored := w.record(token); stored != "" {
			t.Errorf("came back: %s", stored)
		}
		other.get("/profile").want(http.StatusOK) // the person's other session is unaffected
	})
}

func TestEveryPageOfAMemberHasTheWayOut(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	b := w.member(w.person("Ada"))
	for path, page := range b.crawl() {
		isPage := page.status == http.StatusOK && strings.HasPrefix(page.header.Get("Content-Type"), "text/html")
		if isPage && page.doc().Find("form[method=post][action='/logout'] button").Length() == 0 {
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
	if _, err := w.accounts.SetDisabled(t.Context(), eve.id, true); err != nil {
		t.Fatal(err)
	}
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
		input := page.doc().Find("input#email")
		if input.AttrOr("value", "") != try.email {
			t.Errorf("the email typed is gone: %q", input.AttrOr("value", ""))
		}
		page.wantValue("input#password", "")
		page.wantValue("input[name=next]", "/session")
		input.RemoveAttr("value")
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
		p := person{name: "Ada", email: "pw" + string(rune('a'+i)) + "@kelp.example", password: c.chosen}
		b := w.browser()
		b.register(p.name, p.email, c.chosen).wantRedirect("/profile")
		p.password = c.tried
		w.browser().logIn(p, "").want(c.status)
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
		b := w.browser()
		page := b.register("Ada Lovelace", "ada.lovelace@x.y", weak).want(http.StatusUnprocessableEntity)
		if got := page.text("#password-error"); !strings.HasPrefix(got, reason) {
			t.Errorf("%.30q is refused with %q, want %q", weak, got, reason)
		}
		if page.doc().Find("input#name").AttrOr("value", "") != "Ada Lovelace" || page.doc().Find("input#password").AttrOr("value", "") != "" {
			t.Error("the form does not keep all but the password")
		}
	}
	w.wantUnchanged(before, "a refused registration")
}
