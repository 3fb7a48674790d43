package web_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/dev/require"
	"holdfast/internal/product"
)

// sessionAnswer is the response to GET /session as a program reads it.
type sessionAnswer struct {
	Member  *struct{ ID, Name string }
	Stored  bool
	Created *string
	Ends    *string
	Values  map[string]string
}

// session requests this browser's session as JSON.
func (b *browser) session() sessionAnswer {
	b.w.t.Helper()
	page := b.json("/session").want(http.StatusOK).wantNoCookie().wantHeader("Content-Type", "application/json")
	var read sessionAnswer
	decoder := json.NewDecoder(strings.NewReader(string(page.body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&read); err != nil {
		b.w.t.Fatalf("read %s: %v", page.body, err)
	}
	return read
}

func (b *browser) wantValues(want map[string]string) {
	b.w.t.Helper()
	if got := b.session().Values; !maps.Equal(got, want) {
		b.w.t.Errorf("the session has %q, want %q", got, want)
	}
}

// set stores a value in the session through the page's form.
func (b *browser) set(key, value string) *answer {
	b.w.t.Helper()
	return b.submit(b.get("/session").want(http.StatusOK), "form.pair", map[string]string{"key": key, "value": value})
}

// shown returns the values in the page's table.
func (a *answer) shown() map[string]string {
	values := map[string]string{}
	a.doc().Find("table.values tbody tr").Each(func(_ int, row *goquery.Selection) {
		values[row.Find("th").Text()] = row.Find("td").First().Text()
	})
	return values
}

func TestAGuestSetsAndRemovesValuesOfTheirSession(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		b := w.browser()
		if got := b.session(); got.Stored || got.Member != nil || got.Created != nil || len(got.Values) != 0 || got.Values == nil {
			t.Errorf("before anything is set: %+v", got)
		}
		first := b.set("colour", "green").wantRedirect("/session")
		first.cookie(product.SessionCookie)
		b.set("size", "ü & <b>").wantRedirect("/session").wantNoCookie()
		want := map[string]string{"colour": "green", "size": "ü & <b>"}
		if got := b.get("/session").shown(); !maps.Equal(got, want) {
			t.Errorf("the page shows %q, want %q", got, want)
		}
		if got := b.session(); !got.Stored || got.Member != nil || got.Created == nil || got.Ends == nil || !maps.Equal(got.Values, want) {
			t.Errorf("as JSON: %+v", got)
		}
		b.set("colour", "blue").wantRedirect("/session")
		b.submit(b.get("/session"), "tr:contains('size') form", nil).wantRedirect("/session")
		b.wantValues(map[string]string{"colour": "blue"})
		w.browser().wantValues(nil)
		w.restart()
		b.wantValues(map[string]string{"colour": "blue"})
	})
}

func TestAGuestWhoLogsOutLeavesNothing(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	before := w.everything()
	b := w.browser()
	b.set("colour", "green").wantRedirect("/session")
	token := b.token()
	b.post("/logout", nil).wantRedirect("/login")
	if b.token() != "" || w.record(token) != "" {
		t.Error("the session is still stored")
	}
	w.wantUnchanged(before, "a guest's whole visit")
}

func TestRemovingFromNothingStartsNoSession(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	before := w.everything()
	w.browser().post("/session", url.Values{"key": {"colour"}, "value": {""}}).wantRedirect("/session").wantNoCookie()
	w.wantUnchanged(before, "removing a value that no session has")
}

func TestAGuestsValuesSurviveLoggingInUnderANewToken(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		b := w.browser()
		b.set("colour", "green")
		before := b.token()
		b.logIn(w.person("Ada"), "").wantRedirect("/profile")
		if b.token() == before {
			t.Error("the token stayed")
		}
		if got := b.session(); got.Member == nil || got.Member.Name != "Ada" || !maps.Equal(got.Values, map[string]string{"colour": "green"}) {
			t.Errorf("after the log-in: %+v", got)
		}
		w.wantNotStored(before)
		w.bare("GET", "/profile", "", "Cookie: "+product.SessionCookie+"="+before).want(http.StatusSeeOther)
		b.set("size", "7").wantRedirect("/session").wantNoCookie()
		b.wantValues(map[string]string{"colour": "green", "size": "7"})
	})
}

func TestOfAnotherPersonsSessionNothingIsLeft(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		ada, bea := w.person("Ada"), w.person("Bea")
		b := w.member(ada)
		b.set("diary", "of Ada").wantRedirect("/session")
		before := b.token()
		// The login page is not shown to members, but its form may still be open.
		b.post("/login", credentials(bea.email, bea.password)).wantRedirect("/profile")
		if got := b.session(); got.Member == nil || got.Member.ID != bea.id || len(got.Values) != 0 {
			t.Errorf("Bea's session: %+v", got)
		}
		if stored := w.record(b.token()); strings.Contains(stored, "Ada") || strings.Contains(stored, "diary") || strings.Contains(stored, ada.id) {
			t.Errorf("stored for Bea: %s", stored)
		}
		if keys := w.sessionKeys(); len(keys) != 1 || w.record(before) != "" {
			t.Errorf("sessions %q, want Bea's alone", keys)
		}
		b.get("/profile").want(http.StatusOK).wantText("h1", "Hello, Bea!").wantText(".person", "Bea")
		w.bare("GET", "/profile", "", "Cookie: "+product.SessionCookie+"="+before).want(http.StatusSeeOther)

		b.set("diary", "of Bea")
		b.post("/register", url.Values{"name": {"Cleo"}, "email": {"cleo@kelp.example"}, "password": {"slow tides lift old boats"}}).wantRedirect("/profile")
		if got := b.session(); got.Member == nil || got.Member.Name != "Cleo" || len(got.Values) != 0 {
			t.Errorf("Cleo's session: %+v", got)
		}
	})
}

func TestParallelRequestsOfOneSessionLoseNothing(t *testing.T) {
	t.Parallel()
	redis := services(t)
	here, there := newWorld(t, redis, options{}), newWorld(t, redis, options{})
	cookie := "Cookie: " + product.SessionCookie + "=" + here.member(here.person("Ada")).token()
	const writers = 50
	answers := make([]*answer, writers)
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			at := []*world{here, there}[i%2]
			answers[i] = at.bare("POST", "/session", fmt.Sprintf("key=k%d&value=v%d", i, i), cookie, "Content-Type: "+urlencoded)
		})
	}
	all.Wait()
	for _, a := range answers {
		a.wantRedirect("/session").wantNoCookie()
	}
	var read sessionAnswer
	require.NoError(t, json.Unmarshal(there.bare("GET", "/session", "", cookie, "Accept: application/json").body, &read))
	for i := range writers {
		if got := read.Values[fmt.Sprintf("k%d", i)]; got != fmt.Sprintf("v%d", i) {
			t.Errorf("k%d is %q", i, got)
		}
	}
	if len(read.Values) != writers {
		t.Errorf("%d values, want %d", len(read.Values), writers)
	}
}

func TestTooMuchForASessionIsSaidAtTheField(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	b := w.browser()
	for i := range 100 {
		b.post("/session", url.Values{"key": {fmt.Sprint("k", i)}, "value": {"v"}}).wantRedirect("/session")
	}
	before := w.everything()
	for _, c := range []struct{ key, value, field string }{
		{"one more", "v", "key"},
		{strings.Repeat("é", 65), "v", "key"},
		{"", "v", "key"},
		{"", "", "key"},
		{"", "", "value"},
		{"a\nb", "v", "key"},
		{"k1", strings.Repeat("v", 1025), "value"},
		{"k1", strings.Repeat("é", 513), "value"},
		{"k1", "two\r\nlines", "value"},
	} {
		form := url.Values{"key": {c.key}, "value": {c.value}}
		page := b.post("/session", form).want(http.StatusUnprocessableEntity).wantNoCookie()
		if page.text("#"+c.field+"-error") == "" || page.count("#"+c.field+"[aria-invalid=true]") != 1 || page.text(".errors a[href='#"+c.field+"']") == "" {
			t.Errorf("%.20q=%.20q: nothing said at the field %s, or in the summary", c.key, c.value, c.field)
		}
		if program := b.postWith("/session", form.Encode(), asJSON).want(http.StatusUnprocessableEntity); !json.Valid(program.body) || !strings.Contains(string(program.body), c.field) {
			t.Errorf("a program gets %s", program.body)
		}
	}
	w.wantUnchanged(before, "values that do not fit")
	b.set("k1", strings.Repeat("é", 512)).wantRedirect("/session")
	for i := range 20 { // values that each fit may not fit together
		if b.post("/session", url.Values{"key": {fmt.Sprint("k", i)}, "value": {strings.Repeat("v", 1024)}}).status == http.StatusUnprocessableEntity {
			return
		}
	}
	t.Error("a session takes more than 16 KiB")
}

func TestOnThePageOnlyTheButtonRemovesAValue(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	b := w.browser()
	b.set("colour", "green")
	b.get("/session").wantNotices("colour has been set.")
	again := b.set("colour", "").want(http.StatusUnprocessableEntity)
	again.wantText("#value-error", "Enter a value.").wantText("title", "Error: Session · Holdfast")
	if got := again.shown()["colour"]; got != "green" {
		t.Errorf("an empty value changed it to %q", got)
	}
	b.submit(b.get("/session"), "table.values form", nil).wantRedirect("/session")
	b.get("/session").wantCount("table.values tbody tr", 0).wantNotices("colour has been removed.")
}
