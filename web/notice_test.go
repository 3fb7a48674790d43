package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/labstack/echo/v4"

	"holdfast/internal/product"
	"holdfast/internal/session"
)

func TestANoticeIsShownOnTheNextPageAndNeverAgain(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		b := w.member(w.person("Ada"))
		done := b.submit(b.get("/account"), "form[action='/account/name']", map[string]string{"name": "Ada King"}).wantRedirect("/account")
		// A response that shows no notices leaves them.
		b.session()
		b.get("/none").want(http.StatusNotFound)
		b.get("/login").wantRedirect("/profile")
		b.post("/session", nil).want(http.StatusUnprocessableEntity)
		b.do(b.request(http.MethodHead, "/account", nil)).want(http.StatusOK)
		b.follow(done).want(http.StatusOK).wantNotices("Your name has been changed.")
		for _, path := range []string{"/account", "/profile", "/"} {
			b.get(path).wantNotices()
		}
		if stored := w.record(b.token()); strings.Contains(stored, "changed") {
			t.Errorf("still stored: %s", stored)
		}
	})
}

func TestOfManyPagesAtOnceOneShowsTheNotice(t *testing.T) {
	t.Parallel()
	at := services(t)
	here, there := newWorld(t, at, options{}), newWorld(t, at, options{})
	b := here.member(here.person("Ada"))
	cookie := "Cookie: " + product.SessionCookie + "=" + b.token()
	for range 10 {
		b.post("/account/name", url.Values{"name": {"Ada King"}}).wantRedirect("/account")
		const pages = 12
		var mu sync.Mutex
		var all sync.WaitGroup
		var shown []string
		for i := range pages {
			all.Go(func() {
				page := []*world{here, there}[i%2].bare("GET", "/profile", "", cookie)
				mu.Lock()
				defer mu.Unlock()
				if page.status != http.StatusOK {
					t.Errorf("a page answered %d", page.status)
				}
				shown = append(shown, page.notices()...)
			})
		}
		all.Wait()
		if !slices.Equal(shown, []string{"Your name has been changed."}) {
			t.Fatalf("%d pages showed %q", pages, shown)
		}
	}
}

// TestADoubleClickIsAnsweredByOneNotice: the browser drops the answer to the first click.
func TestADoubleClickIsAnsweredByOneNotice(t *testing.T) {
	_, _, b := withMember(t, embedded, options{})
	for range 2 {
		b.post("/account/name", url.Values{"name": {"Ada Lovelace"}}).wantRedirect("/account")
	}
	b.get("/account").want(http.StatusOK).wantNotices("Your name has been changed.")
}

func TestThePartingWordIsSaidOnce(t *testing.T) {
	w, _, b := withMember(t, embedded, options{})
	out := b.logOut()
	if parting := out.cookie(product.PartingCookie); parting.MaxAge <= 0 || parting.MaxAge > 300 || strings.Contains(parting.Value, "Ada") {
		t.Errorf("parting cookie %s", parting.Raw)
	}
	page := b.follow(out).want(http.StatusOK)
	page.wantNotices("You are logged out.")
	if gone := page.cookie(product.PartingCookie); gone.MaxAge >= 0 {
		t.Errorf("the parting cookie stays: %s", gone.Raw)
	}
	b.get("/login").wantNoCookie().wantNotices()
	for _, value := range []string{"x", "<b>you won</b>", strings.Repeat("a", 4000), "logged-out%00"} {
		w.bare("GET", "/", "", "Cookie: "+product.PartingCookie+"="+value).want(http.StatusOK).wantNotices()
	}
}

// TestAPostIsNeverMadeTwice: a parallel request of the same session has shown the
// notice that this one took.
func TestAPostIsNeverMadeTwice(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	var calls atomic.Int64
	var meanwhile func()
	w.site.AddPage("/test/takes", func(c echo.Context, whose *session.Session) error {
		if calls.Add(1) == 1 {
			meanwhile()
		}
		whose.TakeFlashes()
		return c.NoContent(http.StatusNoContent)
	})
	w.site.AddPage("/test/flash", func(c echo.Context, whose *session.Session) error {
		whose.Flash("once")
		return c.NoContent(http.StatusNoContent)
	})
	b := w.member(w.person("Ada"))
	meanwhile = func() { b.get("/profile").want(http.StatusOK) }
	for method, want := range map[string]struct {
		calls  int64
		status int
	}{"GET": {2, http.StatusNoContent}, "POST": {1, http.StatusInternalServerError}} {
		b.post("/test/flash", nil).want(http.StatusNoContent)
		calls.Store(0)
		b.do(b.request(method, "/test/takes", nil)).want(want.status)
		if n := calls.Load(); n != want.calls {
			t.Errorf("%s was made %d times, want %d", method, n, want.calls)
		}
	}
}

func TestAPageThatIsFetchedInAdvanceTakesNoMessage(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	b := w.member(w.person("Ada"))
	b.post("/account/name", url.Values{"name": {"Ada L."}}).wantRedirect("/account")
	b.send(http.MethodGet, "/account", "", "Sec-Purpose: prefetch;prerender").want(http.StatusOK).wantNotices()
	b.send(http.MethodGet, "/account", "", "Purpose: prefetch").want(http.StatusOK).wantNotices() // of older browsers
	b.get("/account").want(http.StatusOK).wantNotice("")
}
