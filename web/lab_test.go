package web_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"holdfast/internal/learn/restartcheck"
	"holdfast/internal/learn/second"
)

// lab counts what the site asks for. What a restart does is tested where there
// is a process to restart.
type lab struct{ restarts, checks, seconds atomic.Int64 }

func (l *lab) restart(context.Context) error      { l.restarts.Add(1); return nil }
func (l *lab) Start() error                       { l.checks.Add(1); return nil }
func (l *lab) State() (restartcheck.State, error) { return restartcheck.State{}, nil }

// secondOf counts what the site asks of the second server.
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
