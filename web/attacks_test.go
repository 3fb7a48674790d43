package web_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/learn/attack"
	"holdfast/internal/session/store"
)

// attacks runs the attacks that the site requests, or only counts them.
type attacks struct {
	*attack.Runner
	make bool
	runs atomic.Int64
}

func (a *attacks) Run(ctx context.Context, name string) error {
	a.runs.Add(1)
	if !a.make {
		return nil
	}
	return a.Runner.Run(ctx, name)
}

// verdicts are the outcomes of each attack, here and on the typical set-up.
var verdicts = map[string][2]attack.Outcome{
	"replay":   {attack.Failed, attack.Failed},
	"fixation": {attack.Failed, attack.Failed},
	"slow":     {attack.Failed, attack.Succeeded},
	"forged":   {attack.Failed, attack.Succeeded},
	"guess":    {attack.Failed, attack.Failed},
	"password": {attack.Failed, attack.Succeeded},
	"outage":   {attack.Failed, attack.Succeeded},
}

// tokenAlone matches a token that is not shortened.
var tokenAlone = regexp.MustCompile(`(?:^|[^A-Za-z0-9_-])[A-Za-z0-9_-]{43}(?:[^A-Za-z0-9_-]|$)`)

func TestEveryAttackFailsHereAndLeavesNothingBehind(t *testing.T) {
	// The timeout is long enough for a busy machine, short enough not to count as hung.
	onBothStacksWith(t, options{learn: true, attacks: true, slow: true, redisTimeout: 1500 * time.Millisecond}, func(t *testing.T, w *world) {
		ada := w.member(w.person("Ada"))
		expected := maps.Clone(verdicts)
		if w.stores.redis != nil {
			expected["outage"] = [2]attack.Outcome{attack.NotTried, attack.NotTried}
		}
		var tried []string
		for _, button := range ada.get("/lab/attacks").want(http.StatusOK).doc().Find(".attack form").EachIter() {
			path := button.AttrOr("action", "")
			name := strings.TrimPrefix(path, "/lab/attacks/")
			tried = append(tried, name)
			before := w.everything()
			ada.post(path, nil).wantRedirect("/lab/attacks?shown=" + name + "#" + name).wantNoCookie()
			delete(before, "lab")
			after := w.everything()
			delete(after, "lab")
			// Revocations stay until the session's deadline, counted attempts for a
			// day.
			kept := func(key, _ string) bool {
				return strings.HasPrefix(key, "table revocations ") || strings.HasPrefix(key, "table throttle ")
			}
			maps.DeleteFunc(before, kept)
			maps.DeleteFunc(after, kept)
			if !maps.Equal(before, after) {
				t.Errorf("%s left something behind or took something away:\nbefore %v\nafter  %v", name, before, after)
			}
			w.checkReport(name, expected[name])
		}
		if want := slices.Sorted(maps.Keys(verdicts)); !slices.Equal(slices.Sorted(slices.Values(tried)), want) {
			t.Errorf("the page has buttons for %v, want %v", tried, want)
		}
		page := ada.get("/lab/attacks").want(http.StatusOK)
		if found := tokenAlone.Find(page.body); found != nil {
			t.Errorf("the page shows what looks like a token: %q", found)
		}
		if found := tokenAlone.FindString(w.log.String()); found != "" {
			t.Errorf("the log shows what looks like a token: %q", found)
		}
		if got := page.count(".trial.held, .trial.fell"); w.stores.redis == nil && got != 2*len(verdicts) {
			t.Errorf("the page shows %d verdicts", got)
		}
		ada.get("/profile").want(http.StatusOK)
	})
}

func TestOneButtonRunsEveryAttackInTurn(t *testing.T) {
	w, _, b := withMember(t, embedded, options{learn: true})
	sent := b.submit(b.get("/lab/attacks").want(http.StatusOK), "form:has([name=all])", nil)
	ran := 0
	for ; sent.status == http.StatusTemporaryRedirect; ran++ { // the browser sends the form again
		sent = b.post(sent.header.Get("Location"), url.Values{"all": {"yes"}})
	}
	names := slices.Sorted(maps.Keys(verdicts))
	sent.wantRedirect("/lab/attacks?shown=" + strings.Join(names, "+") + "#score")
	if runs := w.attacks.runs.Load(); ran != len(names) || int(runs) != ran {
		t.Errorf("the browser sent %d forms, %d attacks ran, of %d", ran, runs, len(names))
	}
}

func (w *world) checkReport(name string, want [2]attack.Outcome) {
	w.t.Helper()
	report := w.attacks.Latest(name)
	if report == nil {
		w.t.Fatalf("%s has no report", name)
	}
	for i, trial := range []attack.Trial{report.Here, report.Stock} {
		if trial.Outcome != want[i] {
			w.t.Errorf("%s, trial %d: %s (%s; %s), want %s", name, i, trial.Outcome, trial.Why, trial.Facts, want[i])
		}
		if trial.Outcome != attack.NotTried && (len(trial.Exchanges) < 3 || trial.Sent < len(trial.Exchanges) || trial.Facts == "") {
			w.t.Errorf("%s, trial %d: %d requests, %d shown, facts %q", name, i, trial.Sent, len(trial.Exchanges), trial.Facts)
		}
		for _, e := range trial.Exchanges {
			if strings.Contains(e.Request, "password=") && !strings.Contains(e.Request, "password=…") {
				w.t.Errorf("%s shows a password: %s", name, e.Request)
			}
		}
	}
}

func TestWithoutRedisTheStockSetUpIsLeftOut(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true, attacks: true, store: store.KindMemory})
	b := w.browser()
	for name, want := range map[string]attack.Outcome{"replay": attack.Failed, "outage": attack.NotTried} {
		b.post("/lab/attacks/"+name, nil).wantRedirect("/lab/attacks?shown=" + name + "#" + name)
		w.checkReport(name, [2]attack.Outcome{want, attack.NotTried})
	}
	w.wantRows(0, `SELECT id FROM people`)
}

func TestAttacksTakeTurns(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true, attacks: true})
	first := make(chan int, 1)
	go func() {
		defer close(first)
		first <- w.browser().post("/lab/attacks/slow", nil).status
	}()
	testkit.Eventually(t, testkit.Patience, "the first attack is under way", func() error {
		if n := len(w.rows(`SELECT id FROM people`)); n != 1 {
			return fmt.Errorf("%d people", n)
		}
		return nil
	})
	b := w.browser()
	b.post("/lab/attacks/replay", nil).want(http.StatusConflict).wantPart("[role=alert]", "only one can run at a time")
	if w.attacks.Latest("replay") != nil {
		t.Error("the second attack was made all the same")
	}
	if got := <-first; got != http.StatusSeeOther {
		t.Errorf("the first was answered %d", got)
	}
	b.post("/lab/attacks/replay", nil).wantRedirect("/lab/attacks?shown=replay#replay")
}

func TestAnUnknownAttackIsNoPage(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true, attacks: true})
	w.browser().post("/lab/attacks/none", nil).want(http.StatusNotFound).wantErrorPage()
}

func TestASlowRequestIsNeverSlowerThanItsBound(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	b := w.member(w.person("Ada"))
	begun := time.Now()
	b.post(attack.SlowPath, map[string][]string{"wait": {"250"}}).want(http.StatusNoContent)
	if took := time.Since(begun); took < 250*time.Millisecond {
		t.Errorf("took %s, want the 250 ms asked for", took)
	}
	for _, wait := range []string{"99999999", "-1", "", "soon", "9223372036854775807"} {
		begun := time.Now()
		b.post(attack.SlowPath, map[string][]string{"wait": {wait}}).want(http.StatusNoContent)
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("%q: took %s, want at most %s", wait, took, attack.MaxSlow)
		}
	}
}

// TestEveryAttackNamesATestThatIsThere keeps the text on the page true.
func TestEveryAttackNamesATestThatIsThere(t *testing.T) {
	t.Parallel()
	for _, a := range attack.New(attack.Config{}).All() {
		source, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(a.File)))
		require.NoError(t, err)
		if !strings.Contains(string(source), "\nfunc "+a.Test+"(t *testing.T)") {
			t.Errorf("%s names %s, which is not in %s", a.Name, a.Test, a.File)
		}
	}
}
