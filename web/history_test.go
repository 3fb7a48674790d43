package web_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
)

func (a *answer) events() []string {
	return a.doc().Find(".ended b").Map(func(_ int, s *goquery.Selection) string { return s.Text() })
}

// TestTheHistoryTellsOfASessionThatExpiredOnce: no one ended it, so nothing was written
// when it expired.
func TestTheHistoryTellsOfASessionThatExpiredOnce(t *testing.T) {
	t.Parallel()
	for name, expire := range map[string]func(w *world){
		"not used for a day": func(w *world) {},
		"at the end of its lifetime": func(w *world) {
			if _, err := w.db.SQL().ExecContext(w.t.Context(), `UPDATE devices SET deadline_ms = created_ms + 1000`); err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBothStacksWith(t, options{}, func(t *testing.T, w *world) {
				p := w.person("Ada")
				gone := w.browser()
				gone.agent = "Mozilla/5.0 (Windows NT 10.0; rv:128.0) Gecko/20100101 Firefox/128.0"
				gone.logIn(p, "").wantRedirect("/profile")
				// The database's clock cannot be set, so the row is made a day older.
				if _, err := w.db.SQL().ExecContext(t.Context(), `UPDATE devices SET created_ms = created_ms - $1`, sessionIdle.Milliseconds()); err != nil {
					t.Fatal(err)
				}
				expire(w)
				w.clock.Advance(sessionIdle + time.Minute)
				gone.get("/profile").wantRedirect("/login?next=%2Fprofile")
				here := w.member(p)
				for range 2 {
					page := here.get("/account/history").want(http.StatusOK)
					expired := 0
					for _, event := range page.events() {
						if event == "A session expired" {
							expired++
						}
					}
					if expired != 1 || len(page.events()) != 2 {
						t.Errorf("history %q", page.events())
					}
				}
				if page := w.member(w.person("Bob")).get("/account/history"); len(page.events()) != 0 {
					t.Errorf("another person's history %q", page.events())
				}
			})
		})
	}
}
