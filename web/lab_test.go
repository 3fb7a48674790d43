package web_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/dev/testkit"
	"holdfast/internal/learn/restartcheck"
	"holdfast/internal/learn/second"
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

func TestTheLabIsThereOnlyWhereItWasAskedFor(t *testing.T) {
	t.Parallel()
	for _, learn := range []bool{true, false} {
		w := newWorld(t, embedded(t), options{learn: learn})
		b := w.member(w.person("Ada"))
		home := b.get("/").want(http.StatusOK)
		for _, path := range []string{"/lab", "/explain"} {
			want := http.StatusNotFound
			if learn {
				want = http.StatusOK
			}
			b.get(path).want(want)
			if linked := home.doc().Find("a[href='"+path+"']").Length() > 0; linked != learn {
				t.Errorf("learn %v, link to %s %v", learn, path, linked)
			}
		}
		restarted := b.post("/lab/restart", nil)
		if !learn {
			restarted.want(http.StatusNotFound)
		}
		if got := w.lab.restarts.Load(); (got == 1) != learn {
			t.Errorf("learn %v, %d restarts", learn, got)
		}
	}
}

func TestATenSecondSessionIsWatchedUntilTheStoreDropsIt(t *testing.T) {
	onBothLearning(t, func(t *testing.T, w *world, _ string) {
		b := w.member(w.person("Ada"))
		page := b.follow(b.submit(b.get("/lab/expire").want(http.StatusOK), "form[action='/lab/expire']", nil)).want(http.StatusOK)
		page.wantText(".lead strong", "10 seconds")
		if got := page.header.Get("Refresh"); got != "1" {
			t.Errorf("it looks again after %q seconds", got)
		}
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
		if page := b.get("/lab/expire?key=" + strings.Repeat("'", 43)).want(http.StatusOK); page.doc().Find(".lead strong, .facts, pre").Length() > 0 {
			t.Error("the page takes any text for a key")
		}
		// Other sessions are not shown.
		if own := b.get("/lab/expire?key=" + session.Key(b.token())).want(http.StatusOK); own.doc().Find(".lead strong, .facts").Length() > 0 {
			t.Error("the page watches another session")
		}
	})
}
