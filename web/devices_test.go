package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/PuerkitoBio/goquery"
)

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"

// cards are the headings of the devices on the page.
func (a *answer) cards() []string {
	a.t.Helper()
	return a.doc().Find(".cards > .card > h2").Map(func(_ int, s *goquery.Selection) string { return s.Text() })
}

func TestAPersonSeesTheirDevicesAndEndsThem(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		p := w.person("Ada")
		here, there := w.browser(), w.browser()
		there.agent = firefox
		here.logIn(p, "").wantRedirect("/profile")
		there.logIn(p, "").wantRedirect("/profile")
		if got := here.get("/devices").want(http.StatusOK).cards(); !slices.Equal(got, []string{"Chrome on Linux this device", "Firefox on Linux"}) {
			t.Errorf("devices %q", got)
		}
		if got := there.get("/devices").cards(); !slices.Equal(got, []string{"Firefox on Linux this device", "Chrome on Linux"}) {
			t.Errorf("devices %q", got)
		}
		ended := here.submit(here.get("/devices"), "form[action='/devices/end']", nil).wantRedirect("/devices")
		if page := here.follow(ended); !slices.Equal(page.notices(), []string{"That device is logged out."}) || len(page.cards()) != 1 {
			t.Errorf("after ending one: %q, %q", page.notices(), page.cards())
		}
		there.get("/profile").wantRedirect("/login?next=%2Fprofile")
		here.get("/profile").want(http.StatusOK)

		others := []*browser{w.member(p), w.member(p), w.member(p)}
		ended = here.submit(here.get("/devices"), "form[action='/devices/end-others']", nil).wantRedirect("/devices")
		here.follow(ended).want(http.StatusOK)
		for _, other := range others {
			other.get("/profile").wantRedirect("/login?next=%2Fprofile")
		}
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
	w := newWorld(t, services(t), options{})
	p := w.person("Ada")
	oldest := w.member(p)
	second := w.member(p)
	for range 98 {
		w.member(p)
	}
	oldest.get("/profile").want(http.StatusOK)
	latest := w.browser()
	page := latest.follow(latest.logIn(p, ""))
	if !slices.Equal(page.notices(), []string{"You can be logged in 100 times at once. The oldest session was ended."}) {
		t.Errorf("the new session is told %q", page.notices())
	}
	oldest.get("/profile").wantRedirect("/login?next=%2Fprofile")
	second.get("/profile").want(http.StatusOK)
	if got := len(w.sessionKeys()); got != 100 {
		t.Errorf("%d sessions, want 100", got)
	}
}
