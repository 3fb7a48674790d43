package pages

import (
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit/pagetest"
	"holdfast/internal/learn/attack"
	"holdfast/internal/learn/byhand"
	"holdfast/internal/learn/restartcheck"
	"holdfast/internal/learn/trace"
	"holdfast/internal/session"
	"holdfast/internal/view"
	site "holdfast/templates"
	"holdfast/web"
)

// layout is what the site puts around a page.
type layout struct {
	Title, Path, Member, Account string
	FormPage                     string
	Flashes                      []struct {
		Text string
		Mail bool
	}
	Neutral                  bool
	Version, Instance, Store string
}

// suite returns the pages of this package, in the layout of the site.
func suite(t *testing.T) pagetest.Suite {
	t.Helper()
	own, all := fstest.MapFS{}, fstest.MapFS{}
	add := func(files fs.FS, to ...fstest.MapFS) {
		err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			source, err := fs.ReadFile(files, path)
			for _, to := range to {
				to[path] = &fstest.MapFile{Data: source}
			}
			return err
		})
		require.NoError(t, err)
	}
	add(site.FS, all)
	extension, err := New(Config{Learn: true})
	require.NoError(t, err)
	for _, files := range extension.Templates {
		add(files, own, all)
	}
	views, err := view.Parse(func(name string) (string, bool) { return "/static/" + name, true }, all)
	require.NoError(t, err)
	return pagetest.Suite{
		Views: views, Templates: own, Samples: samplePages(), Source: "samplePages in internal/learn/pages/render_test.go",
		Layouts: func(page string) []any {
			return []any{
				layout{Title: "Sample", Path: "/" + page},
				layout{Title: "Sample", Path: "/" + page, Member: "Ada", Account: pagetest.Account, Version: "1.2.3", Instance: "restarted 16 times, process ID 1954", Store: "Redis"},
				layout{Title: "Sample", Neutral: true, Version: "1.2.3"},
			}
		},
		Served: func(string) bool { return true }, // a site that lacks a static file does not start
	}
}

func TestNoTemplateHasAFormWithoutItsAccount(t *testing.T) { suite(t).CheckForms(t) }

func TestEveryPageIsWholeAndAccessible(t *testing.T) { suite(t).CheckAccessible(t) }

func TestNoTextBecomesMarkup(t *testing.T) { suite(t).CheckEscaping(t) }

func TestACompiledPageIsThePageOfHTMLTemplate(t *testing.T) { suite(t).CheckCompiled(t) }

// samplePages returns each page with everything on it, and with as little as possible.
func samplePages() map[string][]any {
	then := web.Moment{ISO: "2026-11-20T18:04:05Z", Words: "3 days ago"}
	drawn := web.FlowDiagram{
		Greeting: "Hello, Ada!", Store: "Redis", Record: "name: Ada", Linked: true,
		Cookie: web.FlowArrow{Value: "qUdM…hYsf", Linked: true}, Key: web.FlowArrow{Value: "8BMV…JvWw", Linked: true}, Page: web.FlowArrow{Value: "Hello, Ada!", Linked: true},
	}
	running := checkPart{Check: restartcheck.State{Running: true, Now: []restartcheck.StateRow{{Store: "redis", Waiting: "testing now"}}}, Began: then}
	return map[string][]any{
		"explain": {explainPage{}, explainPage{
			Heading: "How the server knew you", Lead: "Look.", Summary: "2 steps.", Guest: true, Cookie: "session", Way: drawn,
			Steps: []explainStep{
				{ID: "one", Title: "One", Text: "First.", Took: "0.21 ms", Sources: []explainSource{{"web/session_middleware.go", "(*Site).token", "func f() {\n}"}}, Hand: []string{"curl x", "redis-cli y"}, Token: true, HandWords: "This prints z."},
				{ID: "two", Title: "Two", Text: "Then.", Bytes: "{}", Folded: "The 2 bytes", Facts: []explainFact{
					{Term: "a", Value: "b", Code: true}, {Term: "c", Value: "d", Means: "e"}, {Term: "f", Time: then}, {Term: "g", Ends: then},
				}},
				{ID: "three", Title: "Three", Parts: []explainStep{{Title: "Nothing", Text: "It was not needed."}}},
			},
		}},
		"recent": {recentPage{}, recentPage{Known: true, Most: 20}, recentPage{Known: true, Most: 20, Requests: []recentRequest{
			{At: then, Changes: "logged in", Request: trace.Request{
				Method: "POST", Path: "/login", Status: 303, Left: 2,
				Calls:   []trace.Call{{To: "SQL", Text: "SELECT 1", Cause: "timeout"}},
				Cookies: []trace.Sent{{Name: "session", Attributes: []string{"HttpOnly"}}},
			}},
			{At: then, Changes: "nothing", Request: trace.Request{Method: "GET", Path: "/", Status: 200}},
		}}},
		"lab": {labPage{}, labPage{
			Store: "this server’s memory", Memory: true, Member: true, Failed: "It did not restart.",
			Guess:   restartGuess(),
			Outcome: &restartOutcome{Heading: "Hello again, Ada!", Why: "It was there.", Kept: true, Before: serverCard{1, "restarted once", then}},
			Now:     serverCard{1, "restarted 2 times", then}, Session: "logged in as Ada",
			Devices: []web.DeviceCard{{ID: "1", Title: "Firefox on Linux", Address: "127.0.0.1", Since: then, LastSeen: then, Current: true, Account: "the account"}}, Others: 1,
			checkPart: checkPart{Check: restartcheck.State{
				Failed: "It did not start.", Reason: "no such file", Measured: time.Unix(1, 0), Sessions: 20,
				Now: []restartcheck.StateRow{{Store: "redis", Waiting: "not tested"}},
				Rows: []restartcheck.StateRow{{
					Store: "redis", Restart: restartcheck.Known, Kill: restartcheck.Stranger, Second: restartcheck.Refused, LogOut: restartcheck.Ended, Password: restartcheck.StillWorks,
					Growth: restartcheck.Cost{Text: "no growth"}, Size: restartcheck.Cost{Text: "300 B", Bar: 100}, Page: restartcheck.Cost{Text: "0.4 ms", Bar: 50},
				}},
			},
				Began: then, Measured: then,
			}}, labPage{checkPart: running}},
		"labcheck": {checkPart{}, running},
		"clinic": {clinicPage{}, clinicPage{Tried: true, Results: []clinicCookie{
			{Title: "Secure", Header: "clinic-secure=1; Secure", Rule: "It is dropped.", Advice: "Use https.", Back: true, Value: "1"}, clinicCookies()[4],
		}}},
		"expire": {expirePage{}, expirePage{Key: "8BMV", Store: "Redis", Left: "7 seconds", ByHand: byhand.Lines{Left: "redis-cli TTL x"}}, expirePage{Key: "8BMV"}},
		"attacks": {attacksPage{}, attacksPage{Busy: true, Shown: "two", Scores: []attackScore{{"This server", 1, 0, 0}, {"The typical set-up", 0, 1, 0}}, Attacks: []attackSection{
			{Attack: attack.Attack{Name: "one", Title: "One", What: "It tries.", Test: "TestOne", File: "one_test.go"}, Waits: waitBars()},
			{Attack: attack.Attack{Name: "two", Title: "Two", What: "It tries."}, Report: &attackReport{At: then, Clock: "18:04 UTC", Open: true, Took: "0.2 s", Requests: "8 requests", Trials: []attackTrial{
				{Where: "This server", Result: "held", Verdict: "The attack failed", Reason: ", because", Trial: attack.Trial{Outcome: attack.Failed, Facts: "None.", Exchanges: []attack.Exchange{{Note: "Look.", Request: "GET /", Answer: "200 OK"}}}},
				{Where: "The typical set-up", Result: "fell", Verdict: "The attack succeeded", Trial: attack.Trial{Outcome: attack.Succeeded}},
			}}},
		}}},
		"why": {whyPage{}, whyPage{
			Learn: true, Member: true, Store: "Redis", Known: true, Measured: then, Faults: []memoryFault{{"It forgets", "It ends.", "logged out", "Hello, Ada!"}},
			Second:  secondPart{Running: true, Process: 7, URL: "http://localhost:3001/profile", Ends: then, Greeting: "Hello, Ada!", Means: "It found you."},
			Endings: sessionEndings(session.Limits{}), States: sessionStates(), Thieves: thieves(), Wire: wireRows("session"), HTTPS: true, Cookie: "session",
			Signed: restartcheck.StateRow{LogOut: restartcheck.StillWorks, Password: restartcheck.Ended},
		}, whyPage{Learn: true, Second: secondPart{Refusal: "It is locked.", Means: "One at a time.", Failed: "Not now."}},
			whyPage{Learn: true, Second: secondPart{Blocked: "Not here."}}},
		"labwait": {labWaitPage{Try: 1}, labWaitPage{Given: true, Try: maxTries}},
	}
}
