package trace_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/learn/trace"
	"holdfast/internal/session"
)

const token = "kelpKELPkelpKELPkelpKELPkelpKELPkelpKELPkel"

func TestAMaskLeavesTheEndsAtMost(t *testing.T) {
	for secret, want := range map[string]string{
		"":                         "",
		"x":                        "…",
		"fifteen letters":          "…",
		"sixteen letters.":         "sixt…ers.",
		token:                      "kelp…Pkel",
		strings.Repeat("\xff", 43): "?",
		"éèêë" + token + "éèêë":    "éèêë…éèêë",
	} {
		m := trace.Mask(secret)
		if strings.Contains(secret, "\xff") {
			want = trace.Mask("?").String() // one mark for the whole run of invalid bytes
		}
		if m.String() != want {
			t.Errorf("Mask(%q) is %q, want %q", secret, m, want)
		}
		if whole := fmt.Sprintf("%#v %+v", m, m); len(secret) > 16 && strings.Contains(whole, secret) {
			t.Errorf("the mask of %q holds it: %s", secret, whole)
		}
	}
}

func TestWhatLooksLikeATokenIsHidden(t *testing.T) {
	for text, want := range map[string]string{
		"colour":                        "colour",
		"is " + token + ".":             "is kelp…Pkel.",
		token:                           "kelp…Pkel",
		token + token:                   "kelp…Pkel",
		strings.Repeat("a", 42):         strings.Repeat("a", 42),
		`{"name":"` + token[:42] + `"}`: `{"name":"` + token[:42] + `"}`,
	} {
		if got := trace.Hide(text); got != want {
			t.Errorf("Hide(%q) is %q, want %q", text, got, want)
		}
	}
	if got := trace.Cause(errors.New(token + strings.Repeat(" é", 200))); len(got) > 200 || strings.Contains(got, token) {
		t.Errorf("the cause of a failure is shown as %q", got)
	}
}

func TestACookieIsDescribedWithoutItsValue(t *testing.T) {
	sent := trace.SentCookie("session=" + token + "; Path=/; HttpOnly; Max-Age=5")
	if got := fmt.Sprint(sent); strings.Contains(got, token) || sent.Name != "session" || fmt.Sprint(sent.Attributes) != "[Path=/ HttpOnly Max-Age=5]" {
		t.Errorf("%+v", sent)
	}
}

func takeStep(rec *trace.Recorder) { rec.Add(0, trace.Hash{Key: "k"}) }

func takeStepInside(rec *trace.Recorder) {
	func() { rec.Timed(0, time.Now(), trace.Hash{Key: "k"}) }()
}

type taker struct{ rec *trace.Recorder }

func (t *taker) take()                    { t.helper() }
func (t *taker) helper()                  { t.rec.Timed(1, time.Now(), trace.Hash{}) }
func (taker) measured(string) (bool, int) { return true, 0 }

func TestAStepKnowsWhoTookIt(t *testing.T) {
	rec := trace.New(true)
	takeStep(rec)
	takeStepInside(rec)
	(&taker{rec}).take()
	rec.AddOf(taker.measured, trace.Form{})
	rec.AddOf((*taker).take, trace.Form{})
	want := []string{"takeStep", "takeStepInside", "(*taker).take", "taker.measured", "(*taker).take"}
	for i, step := range rec.Attempt() {
		source := step.Source()
		if source.Function != want[i] || source.File != "internal/learn/trace/trace_test.go" {
			t.Errorf("step %d was taken by %+v, want %s", i, source, want[i])
		}
	}
}

func TestWithoutARecorderNothingIsSpent(t *testing.T) {
	type other struct{}
	ctx := context.WithValue(t.Context(), other{}, 1)
	if n := testing.AllocsPerRun(100, func() {
		if rec := trace.From(ctx); rec != nil {
			rec.Add(0, trace.Hash{Key: "k"})
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	rec := trace.New(true)
	if trace.From(trace.With(ctx, rec)) != rec {
		t.Error("the recorder does not travel")
	}
}

func TestARequestIsKeptWithinBounds(t *testing.T) {
	rec := trace.New(true)
	for range 10_000 {
		rec.Add(0, trace.Statement{Text: "SELECT 1"})
	}
	if n := len(rec.Attempt()); n != 200 {
		t.Errorf("%d steps are kept", n)
	}
	recent := trace.NewRecent()
	rec = trace.New(true)
	rec.Add(0, trace.Recognised{Key: "k"})
	for range 1000 {
		rec.Add(0, trace.Statement{Text: "SELECT 1"})
	}
	recent.Keep(rec, trace.Request{Path: "/"})
	if got := recent.Of("k")[0]; len(got.Calls)+got.Left != 1000 || len(got.Calls) > 50 {
		t.Errorf("%d calls and %d more", len(got.Calls), got.Left)
	}
}

func TestOnlyTheLastAttemptIsKept(t *testing.T) {
	rec := trace.New(true)
	rec.Add(0, trace.Hash{Key: "first"})
	rec.NextAttempt()
	rec.Add(0, trace.Hash{Key: "second"})
	if got := rec.Attempt(); len(got) != 1 || got[0].What != (trace.Hash{Key: "second"}) {
		t.Errorf("%+v", got)
	}
}

// request keeps one request of a session in m.
func request(m *trace.Recent, key, path string, commit ...trace.Commit) {
	rec := trace.New(true)
	rec.Add(0, trace.Recognised{Key: key})
	for _, c := range commit {
		rec.Add(0, c)
	}
	m.Keep(rec, trace.Request{Path: path})
}

func paths(m *trace.Recent, key string) string {
	var all []string
	for _, r := range m.Of(key) {
		all = append(all, r.Path)
	}
	return strings.Join(all, " ")
}

func TestRequestsAreFiledWhereTheyBelong(t *testing.T) {
	m := trace.NewRecent()
	request(m, "", "/guest")
	request(m, "a", "/1")
	request(m, "a", "/login", trace.Commit{Act: session.LoggedIn, Before: "a", Key: "b"})
	request(m, "b", "/login", trace.Commit{Act: session.LoggedIn, Before: "b", Key: "c"})
	request(m, "c", "/2")
	for key, want := range map[string]string{"": "", "a": "", "b": "", "c": "/2 /login"} {
		if got := paths(m, key); got != want {
			t.Errorf("%q has %q, want %q", key, got, want)
		}
	}
	request(m, "c", "/logout", trace.Commit{Act: session.Ended, Before: "c"})
	if got := m.All(); len(got) != 0 {
		t.Errorf("after the logout there is %+v", got)
	}
}

func TestTheSessionWithoutARequestForTheLongestLeaves(t *testing.T) {
	m := trace.NewRecent()
	for i := range trace.MaxSessions {
		request(m, fmt.Sprint(i), "/")
	}
	request(m, "0", "/again")
	request(m, "new", "/")
	if paths(m, "0") != "/again /" || paths(m, "1") != "" || paths(m, "2") != "/" || paths(m, "new") != "/" {
		t.Errorf("0 %q, 1 %q, 2 %q, new %q", paths(m, "0"), paths(m, "1"), paths(m, "2"), paths(m, "new"))
	}
	for range 3 * trace.PerSession {
		request(m, "new", "/")
	}
	if n := len(m.Of("new")); n != trace.PerSession {
		t.Errorf("%d requests of one session", n)
	}
	if n := len(m.All()); n != trace.MaxSessions+trace.PerSession {
		t.Errorf("%d requests in all", n)
	}
}

func TestManyRequestsAtOnce(t *testing.T) {
	m := trace.NewRecent()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 200 {
				request(m, fmt.Sprint(j%7), "/")
				request(m, fmt.Sprint(i), "/", trace.Commit{Act: session.LoggedIn, Before: fmt.Sprint(i), Key: fmt.Sprint(j)})
				m.Of(fmt.Sprint(j))
				m.All()
			}
		})
	}
	all.Wait()
}
