package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/product"
)

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"

// deviceTitles matches the headings of the devices on the page.
const deviceTitles = ".cards > .card > h2"

func (a *answer) wantDevices(want ...string) {
	a.t.Helper()
	if got := a.texts(deviceTitles); !slices.Equal(got, want) {
		a.fault("the devices are %q, want %q", got, want)
	}
}

func TestAPersonSeesTheirDevicesAndEndsThem(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		p := w.person("Ada")
		here, there := w.browser(), w.browser()
		there.agent = firefox
		here.logIn(p, "").wantRedirect("/profile")
		there.logIn(p, "").wantRedirect("/profile")
		here.get("/devices").want(http.StatusOK).wantDevices("Chrome on Linux this device", "Firefox on Linux")
		there.get("/devices").wantDevices("Firefox on Linux this device", "Chrome on Linux")
		ended := here.submit(here.get("/devices"), "form[action='/devices/end']", nil).wantRedirect("/devices")
		here.follow(ended).wantNotices("That device has been logged out.").wantDevices("Chrome on Linux this device")
		wantLoggedOut(there)
		here.get("/profile").want(http.StatusOK)

		others := []*browser{w.member(p), w.member(p), w.member(p)}
		ended = here.submit(here.get("/devices"), "form[action='/devices/end-others']", nil).wantRedirect("/devices")
		here.follow(ended).want(http.StatusOK)
		wantLoggedOut(others...)
		if keys := w.sessionKeys(); !slices.Equal(keys, []string{storedUnder(here.token())}) {
			t.Errorf("sessions left: %q", keys)
		}
	})
}

func TestASessionIsEndedByItsOwnerOnly(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		ada, bea := w.person("Ada"), w.person("Bea")
		a, b := w.member(ada), w.member(bea)
		w.member(ada)
		target := a.otherDevices()[0]
		before := w.everything()
		for _, id := range []string{target, "x", storedUnder(a.token()), "", "' OR ''='"} {
			b.post("/devices/end", url.Values{"id": {id}}).want(http.StatusNotFound).wantErrorPage()
		}
		w.wantUnchanged(before, "ending another person's session")
		b.post("/devices/end-others", nil).wantRedirect("/devices")
		a.get("/profile").want(http.StatusOK)
		if got := len(w.sessionKeys()); got != 3 {
			t.Errorf("%d sessions left, want all 3", got)
		}
	})
}

func TestTheOneHundredAndFirstSessionEndsTheOldest(t *testing.T) {
	w, p, oldest := withMember(t, services, options{})
	second := w.member(p)
	for range 98 {
		w.member(p)
	}
	oldest.get("/profile").want(http.StatusOK)
	latest := w.browser()
	page := latest.follow(latest.logIn(p, ""))
	page.wantNotices("You can be logged in on up to 100 devices at once, so the oldest one was logged out.")
	wantLoggedOut(oldest)
	second.get("/profile").want(http.StatusOK)
	if got := len(w.sessionKeys()); got != 100 {
		t.Errorf("%d sessions, want 100", got)
	}
}

func TestPastSessionsSayHowTheyEndedAPageAtATime(t *testing.T) {
	w, p, out := withMember(t, embedded, options{})
	out.logOut()
	w.clock.Advance(time.Minute)
	here := w.member(p)
	for range 25 {
		w.member(p)
	}
	here.post("/devices/end-others", nil).wantRedirect("/devices")
	past := func(a *answer) []string { return a.texts(".ended > li") }
	first := here.get("/devices").want(http.StatusOK)
	if got := past(first); len(got) != 20 || first.text(".past h3") != "Chrome on Linux 127.0.0.1" || !strings.Contains(got[0], "Logged out from another device") {
		t.Fatalf("the first page has %d: %q", len(got), got)
	}
	seen, page := len(past(first)), first
	for page.count("a[rel=next]") > 0 {
		page = here.get(page.doc().Find("a[rel=next]").AttrOr("href", "")).want(http.StatusOK)
		seen += len(past(page))
	}
	last := past(page)
	if want := 1 + 25; seen != want || !strings.Contains(last[len(last)-1], "Logged out ") {
		t.Errorf("%d past sessions, want %d; the first of all is %q", seen, want, last[len(last)-1])
	}
	for _, odd := range []string{"0", "-1", "99999999999999999999", "x", "1%00", "2;drop"} {
		if page := here.get("/devices?page=" + odd).want(http.StatusOK); len(past(page)) != 20 || page.count("a[rel=prev]") != 0 {
			t.Errorf("page %s is another than the first", odd)
		}
	}
}

func TestAUserAgentStaysTextOnThePage(t *testing.T) {
	w, p, here := withMember(t, embedded, options{})
	for _, agent := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>/9.9`, `Mozilla/5.0 (X11; Linux x86_64) <b>Firefox</b>/142.0`,
		"\u202eevil/1.0", strings.Repeat("A", 8000) + "/1.0", "{{.}}/1", " ", "-",
	} {
		there := w.browser()
		there.agent = agent
		there.logIn(p, "").wantRedirect("/profile")
		page := here.get("/devices").want(http.StatusOK)
		page.doc().Find(".card *").Each(func(_ int, s *goquery.Selection) {
			switch name := goquery.NodeName(s); name {
			case "h2", "dl", "div", "dt", "dd", "time", "form", "input", "button", "span":
			default:
				t.Errorf("%.40q made an element %s", agent, name)
			}
		})
		for _, title := range page.texts(deviceTitles) {
			if strings.TrimSpace(title) == "" || len(title) > 120 {
				t.Errorf("%.40q is called %.200q", agent, title)
			}
		}
		here.post("/devices/end-others", nil).wantRedirect("/devices")
		here.get("/devices").want(http.StatusOK) // it is now a past session
	}
}

func TestADoubleClickEndsOnceAndNobodySeesAnError(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		p, here := w.newMember("Ada")
		w.member(p)
		form := url.Values{"id": {here.otherDevices()[0]}}
		for range 2 {
			here.post("/devices/end", form).wantRedirect("/devices")
			here.post("/devices/end-others", nil).wantRedirect("/devices")
		}
		here.get("/profile").want(http.StatusOK)
	})
}

func TestEndingThisDeviceByItsIDIsALogOut(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	p := w.person("Ada")
	here, there := w.member(p), w.member(p)
	own := there.otherDevices()[0]
	out := here.post("/devices/end", url.Values{"id": {own}}).wantRedirect("/login")
	if cleared := out.cookie(product.SessionCookie); cleared.MaxAge >= 0 {
		t.Errorf("the cookie stays: %s", cleared.Raw)
	}
	wantLoggedOut(here)
	there.get("/profile").want(http.StatusOK)
}

func TestADeviceIsShownByItsKind(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	p := w.person("Ada")
	for userAgent, kind := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0":                                                                  "computer",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1": "phone",
		"Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1":          "tablet",
		"curl/8.5.0": "program",
		"":           "unknown",
	} {
		b := w.browser()
		b.agent = userAgent
		b.logIn(p, "").wantRedirect("/profile")
		b.get("/devices").wantCount(".card.current .kind-"+kind, 1)
	}
}
