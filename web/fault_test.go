package web_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"holdfast/internal/fault"
	"holdfast/internal/form"
	"holdfast/internal/session"
	"holdfast/internal/text"
)

// faults are handlers that fail, with the status of the response.
var faults = map[string]struct {
	status int
	end    func(w *world, c echo.Context) error
}{
	"an error": {500, func(*world, echo.Context) error { return errors.New("the cause, which is not for the page") }},
	"a panic":  {500, func(*world, echo.Context) error { panic("the cause, which is not for the page") }},
	"a runtime panic": {500, func(*world, echo.Context) error {
		var nothing *session.Session
		nothing.Flash("x")
		return nil
	}},
	"a broken template": {500, func(w *world, c echo.Context) error {
		return w.site.ShowPage(c, "profile", struct{ Name string }{"half"})
	}},
	"a page that is missing": {500, func(w *world, c echo.Context) error { return w.site.ShowPage(c, "none", nil) }},
	"an abort":               {500, func(*world, echo.Context) error { panic(http.ErrAbortHandler) }},
	"a wrapped 404": {404, func(*world, echo.Context) error {
		return fmt.Errorf("look: %w", echo.NewHTTPError(http.StatusNotFound))
	}},
	"a wrapped bad form":   {400, func(*world, echo.Context) error { return fmt.Errorf("look: %w", form.ErrMalformed) }},
	"a store that is away": {503, func(*world, echo.Context) error { return fmt.Errorf("look: %w", fault.ErrUnavailable) }},
	"a row that is gone":   {404, func(*world, echo.Context) error { return fmt.Errorf("read row: %w", fault.ErrNotFound) }},
	"an error after the page was written": {500, func(_ *world, c echo.Context) error {
		if err := c.HTML(http.StatusOK, "<p>half of a private page</p>"); err != nil {
			return err
		}
		return errors.New("too late")
	}},
	"a panic after the page was written": {500, func(_ *world, c echo.Context) error {
		c.Response().WriteHeader(http.StatusOK)
		c.Response().Flush()
		_, _ = c.Response().Write([]byte("half of a private page"))
		panic("too late")
	}},
}

// doings are what a handler may do to the session before it fails.
var doings = map[string]func(c echo.Context, sess *session.Session){
	"setting a value": func(_ echo.Context, sess *session.Session) {
		if err := sess.Set("colour", "red"); err != nil {
			panic(err)
		}
	},
	"leaving a notice": func(_ echo.Context, whose *session.Session) { whose.Flash("It is done.") },
	"taking notices":   func(_ echo.Context, whose *session.Session) { whose.TakeFlashes() },
	"logging out":      func(_ echo.Context, whose *session.Session) { whose.LogOut() },
	"logging in": func(_ echo.Context, whose *session.Session) {
		whose.PrepareLogIn(session.Member{ID: strings.Repeat("A", 22), Name: "Eve"}, text.Sender{UserAgent: "x", Address: "y"})
	},
	"setting a cookie": func(c echo.Context, _ *session.Session) {
		c.SetCookie(&http.Cookie{Name: "crumb", Value: "x"})
		c.Response().Header().Set("X-Half", "made")
	},
}

func TestARequestThatFailsLeavesTheSessionAsItWas(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		for did, do := range doings {
			for how, failing := range faults {
				w.site.AddPage(faultPath(did, how), func(c echo.Context, whose *session.Session) error {
					do(c, whose)
					return failing.end(w, c)
				})
			}
		}
		w.site.AddPage("/test/flash", func(c echo.Context, sess *session.Session) error {
			sess.Flash("A notice that waits.")
			return c.NoContent(http.StatusNoContent)
		})
		guest, member := w.browser(), w.member(w.person("Ada"))
		member.set("colour", "green")
		member.get("/session").want(http.StatusOK) // this page shows the notice
		member.post("/test/flash", nil).want(http.StatusNoContent)
		before := w.everything()
		for did := range doings {
			for how, failing := range faults {
				for _, b := range []*browser{guest, member} {
					for _, page := range []*answer{b.get(faultPath(did, how)), b.post(faultPath(did, how), nil)} {
						page.want(failing.status).wantNoCookie().wantErrorPage()
						if page.header.Get("X-Half") != "" || strings.Contains(string(page.body), "half of") {
							t.Errorf("%s, %s: part of the failed answer was sent", did, how)
						}
					}
				}
			}
			w.wantUnchanged(before, did+", then each fault")
		}
		member.get("/profile").want(http.StatusOK).wantText("h1", "Hello, Ada!").wantNotices("A notice that waits.")
	})
}

func faultPath(did, how string) string {
	return "/test/" + strings.ReplaceAll(did+"/"+how, " ", "-")
}

// wantErrorPage checks that this is the site's error page: fixed words, the request ID,
// no cause.
func (a *answer) wantErrorPage() *answer {
	a.t.Helper()
	if a.text("body > header .brand") != "Holdfast" || a.text("h1") == "" || a.count("main .actions a[href='/']") != 1 {
		a.fault("not the site's error page: %.300s", a.body)
	}
	if want := fmt.Sprintf("Status %d · request ID ", a.status); !strings.HasPrefix(a.text("main .small"), want) || len(a.text("main code")) != 16 {
		a.fault("the small print says %q", a.text("main .small"))
	}
	a.wantHeader("Cache-Control", "no-store")
	if retry := a.header.Get("Retry-After"); (retry != "") != (a.status == http.StatusServiceUnavailable) {
		a.fault("Retry-After %q", retry)
	}
	// Without the request ID: random letters may spell anything.
	shown := strings.ReplaceAll(a.text("main"), a.text("main code"), "")
	for _, inside := range []string{"goroutine", ".go:", "panic", "cause", "sql", "dial tcp", "SQLITE", "redis:"} {
		if strings.Contains(shown, inside) {
			a.fault("the page reveals %q: %s", inside, shown)
		}
	}
	return a
}

func TestTheNumberOnTheErrorPageIsInTheLog(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	w.site.AddPage("/test/fault", func(echo.Context, *session.Session) error { panic("kelp tore loose") })
	mark := w.log.Mark()
	page := w.browser().get("/test/fault").want(http.StatusInternalServerError)
	logged := w.log.Since(mark)
	if strings.Count(logged, "\n") != 1 || !strings.Contains(logged, page.text("main code")) ||
		!strings.Contains(logged, "kelp tore loose") || !strings.Contains(logged, "fault_test.go") {
		t.Errorf("one line with number %s, cause and stack wanted: %s", page.text("main code"), logged)
	}
	w.browser().get("/").want(http.StatusOK)
}

func TestAStoredSessionThatCannotBeReadIsAGuests(t *testing.T) {
	junk := map[string]string{
		"no JSON":          "\x00\xff{",
		"nothing":          "",
		"another shape":    `["a"]`,
		"no version":       `{}`,
		"missing times":    `{"v":1,"member":{"id":"x","name":"Eve"}}`,
		"a nameless one":   `{"v":1,"created":1,"seen":99999999999999,"ends":99999999999999,"member":{"id":"x"}}`,
		"two values":       `{"v":1}{"v":1}`,
		"ten megabytes":    strings.Repeat("[", 10<<20),
		"a foreign type":   "a b",
		"a truncated copy": `{"v":1,"created":1700000000000,"se`,
	}
	onBothStacks(t, func(t *testing.T, w *world) {
		p := w.person("Ada")
		for what, value := range junk {
			b := w.member(p)
			key := storedUnder(b.token())
			w.do("SET", key, value)
			if what == "a foreign type" && w.stores.redis != nil { // the embedded Redis has one type only
				w.do("DEL", key)
				w.do("HSET", key, "a", "b")
			}
			mark := w.log.Mark()
			wantLoggedOut(b)
			b.get("/").want(http.StatusOK)
			if w.do("EXISTS", key).(int64) != 0 {
				t.Errorf("%s: still stored", what)
			}
			if logged := w.log.Since(mark); strings.Count(logged, "unreadable session found") != 1 {
				t.Errorf("%s: want one line of log: %.500s", what, logged)
			}
			w.member(p).get("/profile").want(http.StatusOK)
		}
	})
}

// TestASessionOfANewerServerIsLeftToIt: in a rolling upgrade, a request may reach a
// server that cannot read the record of a newer one.
func TestASessionOfANewerServerIsLeftToIt(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		b := w.member(w.person("Ada"))
		key := storedUnder(b.token())
		ours := w.do("GET", key)
		w.do("SET", key, `{"v":99,"created":1,"seen":1,"ends":99999999999999,"member":{"id":"x","name":"Eve"}}`)
		for range 2 {
			b.get("/profile").wantRedirect("/login?next=%2Fprofile").wantNoCookie()
		}
		if w.do("EXISTS", key).(int64) != 1 {
			t.Fatal("the record was removed")
		}
		w.do("SET", key, ours)
		b.get("/profile").want(http.StatusOK)
		w.do("SET", key, `{"v":99}`)
		b.post("/logout", nil).wantRedirect("/login")
		if w.do("EXISTS", key).(int64) != 0 {
			t.Error("a log-out left the record of a newer server")
		}
	})
}

func TestAStoreThatTakesNothingLosesNothing(t *testing.T) {
	w, p, b := withMember(t, privateServices, options{})
	b.set("colour", "green")
	before := w.everything()
	w.do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	w.full()
	b.post("/session", map[string][]string{"key": {"colour"}, "value": {"red"}}).want(http.StatusServiceUnavailable).wantNoCookie().wantErrorPage()
	guest := w.browser()
	guest.logIn(p, "").want(http.StatusServiceUnavailable).wantNoCookie().wantErrorPage()
	guest.post("/session", map[string][]string{"key": {"a"}, "value": {"b"}}).want(http.StatusServiceUnavailable).wantNoCookie()
	b.get("/profile").want(http.StatusOK).wantText("h1", "Hello, Ada!")
	for key, value := range w.everything() {
		if strings.HasPrefix(key, "redis ") && before[key] != value {
			t.Errorf("%s became %s", key, value)
		}
	}
	w.roomy()
	w.well()
	b.set("colour", "red").wantRedirect("/session")
}

func TestADatabaseThatIsAwayIsSaidInWordsThatFitAnyTable(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	w.site.AddPage("/test/fault", func(echo.Context, *session.Session) error {
		return fmt.Errorf("read any table: %w", fault.ErrUnavailable)
	})
	page := w.browser().get("/test/fault").want(http.StatusServiceUnavailable).wantNoCookie().wantErrorPage()
	page.wantText("h1", "We can’t reach the database right now")
}

func TestAPersonWhoIsGoneIsNotFound(t *testing.T) {
	w, p, b := withMember(t, embedded, options{})
	for _, rows := range []string{"devices WHERE person_id", "links WHERE person_id", "history WHERE person_id", "browsers WHERE person_id", "people WHERE id"} {
		w.sql(`DELETE FROM `+rows+` = $1`, p.id) // and revokes nothing: the session is still there
	}
	b.get("/account").want(http.StatusNotFound).wantErrorPage()
	b.post("/account/name", url.Values{"name": {"Bea"}}).want(http.StatusNotFound).wantErrorPage()
}
