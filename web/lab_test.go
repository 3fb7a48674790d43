package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/dev/testkit"
	"holdfast/internal/learn/attack"
	"holdfast/internal/learn/restartcheck"
	"holdfast/internal/learn/second"
	"holdfast/internal/learn/trace"
	"holdfast/internal/product"
	"holdfast/internal/session"
)

// lab counts what the site requests. Tests that have a process to restart cover what a
// restart does.
type lab struct{ restarts, checks, seconds atomic.Int64 }

func (l *lab) restart(context.Context) error      { l.restarts.Add(1); return nil }
func (l *lab) Start() error                       { l.checks.Add(1); return nil }
func (l *lab) State() (restartcheck.State, error) { return restartcheck.State{}, nil }

// secondOf counts what the site requests of the second server.
type secondOf struct{ *lab }

func (s secondOf) Start(context.Context) error { s.seconds.Add(1); return nil }
func (s secondOf) Stop()                       { s.seconds.Add(-1) }
func (s secondOf) State() second.State         { return second.State{} }
func (s secondOf) Ask(context.Context, string) (string, error) {
	return "", second.ErrNone
}

func TestWhatTeachesIsThereOnlyWhereItWasAskedFor(t *testing.T) {
	t.Parallel()
	for _, learn := range []bool{true, false} {
		w := newWorld(t, embedded(t), options{learn: learn})
		var watched bool
		w.site.AddPage("/probe", func(c echo.Context, _ *session.Session) error {
			watched = trace.From(c.Request().Context()) != nil
			return c.NoContent(http.StatusOK)
		})
		guest, b := w.browser(), w.member(w.person("Ada"))
		if b.get("/probe").want(http.StatusOK); watched != learn {
			t.Errorf("LEARN %t: watched %t", learn, watched)
		}
		status := func(there int) int {
			if learn {
				return there
			}
			return http.StatusNotFound
		}
		for _, path := range []string{"/lab", "/lab/attacks", "/explain", "/explain/recent"} {
			b.get(path).want(status(http.StatusOK))
			guest.get(path).want(status(http.StatusOK))
		}
		for _, path := range []string{"/lab", "/explain"} {
			if linked := b.get("/").count("a[href='"+path+"']") > 0; linked != learn {
				t.Errorf("learn %v, link to %s %v", learn, path, linked)
			}
		}
		b.post("/lab/attacks/replay", nil).want(status(http.StatusSeeOther))
		b.post(attack.SlowPath, nil).want(status(http.StatusNoContent))
		b.post("/lab/restart", nil).want(status(http.StatusSeeOther))
		if got := w.lab.restarts.Load(); (got == 1) != learn {
			t.Errorf("learn %v, %d restarts", learn, got)
		}
	}
}

// TestAGuessBeforeARestartIsAGuestsSession: the guess is all that a stranger can lose.
func TestAGuessBeforeARestartIsAGuestsSession(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	w.browser().post("/lab/restart", url.Values{"guess": {"known"}}).wantRedirect("/lab/wait?from=1&had=guest&try=1")
}

func TestATenSecondSessionIsWatchedUntilTheStoreDropsIt(t *testing.T) {
	onBothLearning(t, func(t *testing.T, w *world, _ string) {
		b := w.member(w.person("Ada"))
		page := b.follow(b.submit(b.get("/lab/expire").want(http.StatusOK), "form[action='/lab/expire']", nil)).want(http.StatusOK)
		page.wantText(".lead strong", "10 seconds").wantHeader("Refresh", "1")
		key := page.text(".facts code")
		w.do("PEXPIREAT", product.SessionKeys+key, time.Now().Add(20*time.Millisecond).UnixMilli())
		testkit.Eventually(t, testkit.Patience, "the store drops it", func() error {
			page = b.get("/lab/expire?key=" + key).want(http.StatusOK)
			if said := page.text(".lead strong"); said != "Gone" || page.header.Get("Refresh") != "" {
				return fmt.Errorf("the page says %q", said)
			}
			return nil
		})
		// What is no key gets into no command.
		b.get("/lab/expire?key="+strings.Repeat("'", 43)).want(http.StatusOK).wantCount(".lead strong, .facts, pre", 0)
		// Other sessions are not shown.
		b.get("/lab/expire?key="+session.Key(b.token())).want(http.StatusOK).wantCount(".lead strong, .facts", 0)
	})
}
