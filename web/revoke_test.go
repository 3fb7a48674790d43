package web_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"holdfast/internal/account"
	"holdfast/internal/dev/require"
)

// TestARequestEndsItsOwnSessionsAndLeavesOthersToTheWorker: the session store was
// unavailable for a while, and many revocations are queued.
func TestARequestEndsItsOwnSessionsAndLeavesOthersToTheWorker(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(w *world, b *browser, p person){
		"a change of password": func(_ *world, b *browser, p person) {
			b.post("/account/password", url.Values{"current": {p.password}, "new": {otherPassword}}).wantRedirect("/account")
		},
		"a reset": func(w *world, _ *browser, p person) {
			w.sets(w.browser(), "/reset?token="+w.link(account.PurposeReset, p), otherPassword)
		},
		"an undone change of address": func(w *world, b *browser, p person) {
			w.moves(b, "new@kelp.example")
			w.undoes(w.linkIn(w.mailTo(p.email, tellsChange)))
		},
		"a deletion": func(_ *world, b *browser, p person) {
			b.post("/account/delete", url.Values{"email": {p.email}}).wantRedirect("/")
		},
		"a deletion that waits": func(w *world, b *browser, p person) {
			w.verify(p)
			b.post("/account/delete", url.Values{"email": {p.email}}).wantRedirect("/")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
				const backlog = 250
				rows := make([]string, backlog)
				for n := range rows {
					now := w.clock.Now().UnixMilli()
					rows[n] = fmt.Sprintf("('%043d', %d, %d)", n, now-int64(n), now+3_600_000)
				}
				if _, err := w.db.SQL().ExecContext(t.Context(), `INSERT INTO revocations (session_key, ended_ms, deadline_ms) VALUES `+strings.Join(rows, ", ")); err != nil {
					t.Fatal(err)
				}
				waiting := func() int {
					return len(w.rows(`SELECT session_key FROM revocations WHERE removed_ms IS NULL`))
				}
				p := w.person("Ada")
				b, others := w.member(p), []*browser{w.member(p), w.member(p)}
				change(w, b, p)
				for _, other := range others {
					other.get("/profile").wantRedirect("/login?next=%2Fprofile")
				}
				if n := waiting(); n != backlog {
					t.Errorf("%d sessions wait to be removed, want those %d that the request did not end", n, backlog)
				}
				require.NoError(t, w.sessions.Revoke(t.Context(), w.db.Revocations()))
				if n := waiting(); n != 0 {
					t.Errorf("the worker left %d", n)
				}
			})
		})
	}
}
