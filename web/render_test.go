package web

import (
	"bytes"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/form"
	"holdfast/internal/learn/attack"
	"holdfast/static"
	"holdfast/templates"
)

func newTestRenderer(t testing.TB) (*renderer, *assets) {
	t.Helper()
	files, err := newAssets(static.FS)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRenderer(templates.FS, files)
	if err != nil {
		t.Fatal(err)
	}
	return r, files
}

// rendered is one page as its HTML and as a tree to select from.
func rendered(t testing.TB, r *renderer, page string, v view) (string, *goquery.Document) {
	t.Helper()
	var out bytes.Buffer
	if err := r.render(&out, page, v); err != nil {
		t.Fatal(err)
	}
	html := out.String()
	doc, err := goquery.NewDocumentFromReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	return html, doc
}

// samplePages has each page at its fullest and at its emptiest.
func samplePages() map[string][]any {
	then := moment{"2026-11-20T18:04:05Z", "20 November 2026, 18:04:05 UTC", "3 days ago"}
	wrong := form.Errors{
		{Field: "name", Message: "Give a name."}, {Field: "email", Message: "Give an e-mail."},
		{Field: "password", Message: "Give a password."}, {Field: "key", Message: "Give a key."},
		{Field: "value", Message: "Give a value."}, {Message: "Try again."},
	}
	return map[string][]any{
		"home":     {homePage{}, homePage{Name: "Ada"}},
		"register": {registerPage{MinPassword: 15}, registerPage{Name: "Ada", Email: "ada@example.com", MinPassword: 15, Next: "/devices", Errors: wrong}},
		"login": {
			loginPage{RememberDays: 30},
			loginPage{Email: "ada@example.com", Next: "/devices", Remember: true, RememberDays: 30, Failed: "They do not match.", Errors: wrong},
		},
		"profile": {profilePage{}, profilePage{
			Name: "Ada", LoggedInSince: then, LastSeen: then, IdleEnd: then, LatestEnd: then, Remembered: true,
			Store: "Redis at localhost:6379", Outlived: 3, OutlivedWords: "3 server starts",
			ServerStarted: then, StartNumber: 17, Instance: "start 17", OlderThanServer: true,
		}},
		"session": {sessionPage{}, sessionPage{
			Values: []sessionValue{{"age", "36"}, {"colour", "green"}}, Key: "a", Value: "b", Errors: wrong, Curl: []string{"curl x", "curl y"},
		}},
		"devices": {devicesPage{}, devicesPage{
			Devices: []deviceCard{
				{ID: "1", Title: "Firefox on Linux", Address: "127.0.0.1", Since: then, LastSeen: then, Current: true},
				{ID: "2", Title: "Safari on iPhone", Address: "::1", Since: then, LastSeen: then, Remembered: true},
			},
			Others: 1,
			Past:   []pastDevice{{Title: "Chrome on Windows", Address: "127.0.0.1", How: "Expired", Since: then, Ended: then}},
			Older:  "/devices?page=3", Newer: "/devices?page=1",
		}},
		"explain": {explainPage{}, explainPage{
			Heading: "How the server knew you", Lead: "Look.", Summary: "2 steps.", Guest: true, Cookie: "session",
			Steps: []explainStep{
				{Title: "One", Text: "First.", Took: "0.21 ms", File: "web/recognise.go", Function: "(*Site).token", Hand: []string{"curl x", "redis-cli y"}, HandWords: "It prints z."},
				{Title: "Two", Text: "Then.", Bytes: "{}", Facts: []explainFact{
					{Term: "a", Value: "b", Code: true}, {Term: "c", Value: "d", Means: "e"}, {Term: "f", Time: then}, {Term: "g", Ends: then},
				}},
			},
		}},
		"recent": {recentPage{}, recentPage{Known: true, Most: 20}, recentPage{Known: true, Most: 20, Requests: []recentRequest{
			{Method: "POST", Path: "/login", Status: 303, At: then, Took: "31.00 ms", Left: 2, Changes: "logged in",
				Calls: []recentCall{{To: "SQL", Text: "SELECT 1", Took: "0.10 ms", Cause: "timeout"}}, Cookies: []string{"session=ab…yz; HttpOnly"}},
			{Method: "GET", Path: "/", Status: 200, At: then, Took: "1.00 ms", Changes: "nothing"},
		}}},
		"lab": {labPage{}, labPage{
			Store: "this server's memory", Memory: true, Member: true, Failed: "It did not restart.",
			Outcome: &restartOutcome{Heading: "Hello again, Ada!", Why: "It was there.", Kept: true, Before: Process{1, 2, time.Unix(0, 0)}, Began: then, BeganNext: then},
			Devices: []deviceCard{{ID: "1", Title: "Firefox on Linux", Address: "127.0.0.1", Since: then, LastSeen: then, Current: true}}, Others: 1,
			Check: CheckState{
				Running: true, Doing: "redis", Failed: "It did not start.", Measured: time.Unix(1, 0),
				Heads: []string{"store", "kept"}, Rows: []CheckRow{{Cells: []string{"redis", "yes"}, Sentence: "It keeps."}},
			},
			Measured: then,
		}},
		"attacks": {attacksPage{}, attacksPage{Busy: true, Attacks: []attackSection{
			{Name: "one", Title: "One", What: "It tries.", Test: "TestOne", File: "one_test.go", Waits: waitBars()},
			{Name: "two", Title: "Two", What: "It tries.", Report: &attackReport{At: then, Took: "0.2 s", Requests: "8 requests", Trials: []attackTrial{
				{Where: "This server", Outcome: "failed", Verdict: "The attack failed", Reason: ", because", Facts: "None.", Exchanges: []attack.Exchange{{Note: "Look.", Request: "GET /", Answer: "200 OK"}}},
				{Where: "A stock set-up", Outcome: "succeeded", Verdict: "The attack succeeded"},
			}}},
		}}},
		"labwait":  {labWaitPage{Try: 1}, labWaitPage{Given: true, Try: maxTries}},
		"account":  {accountPage{}, accountPage{Name: "Ada", Email: "ada@example.com", Errors: wrong}, accountPage{Email: "a@b", MailOn: true, Failed: "Too early."}, accountPage{Email: "a@b", Verified: true}},
		"email":    {emailPage{}, emailPage{Now: "ada@example.com", Email: "a@b", Failed: "Too early.", Errors: wrong}},
		"password": {passwordPage{MinPassword: 15}, passwordPage{Email: "ada@example.com", MinPassword: 15, Failed: "Too early.", Errors: wrong}},
		"proof":    {proofPage{}, proofPage{Next: "/devices", Failed: "Too early.", Errors: wrong}},
		"forgot":   {forgotPage{}, forgotPage{Email: "a@b", Failed: "Too early.", Errors: wrong}},
		"reset":    {resetPage{MinPassword: 15}, resetPage{Token: "t", MinPassword: 15, Failed: "Too early.", Errors: wrong}},
		"verify":   {verifyPage{}, verifyPage{Token: "t", Email: "a@b", Heading: "Confirm", What: "With this:", Button: "Go", Failed: "Too early."}},
		"linkover": {struct{}{}, struct{}{}},
		"delete":   {struct{}{}, struct{}{}},
		"history": {historyPage{}, historyPage{
			Events: []historyEvent{{What: "Logged in", Browser: "Firefox on Linux", Address: "::1", At: then}, {What: "Failed", At: then}},
			Older:  "/account/history?page=3", Newer: "/account/history?page=1",
		}},
		"mail": {mailsPage{}, mailsPage{Mails: []shownMail{
			{From: "a@b", To: "c@d", Subject: "Hello", At: then, Paragraphs: []mailParagraph{{Text: "One"}, {Items: []string{"Two"}}, {Text: "Go", Href: "/reset?token=t"}}},
			{Subject: "Another", At: then},
		}}},
		"error": {errorPage{}, errorPage{Status: 404, Heading: "No such page", Message: "Look again.", RequestID: "abc", BackURL: "/", BackText: "Back"}},
	}
}

// sampleViews has each sample in the layout of a guest, of a member and of an
// error. Every page in templates must have a sample.
func sampleViews(t testing.TB, r *renderer) map[string][]view {
	t.Helper()
	samples := samplePages()
	views := map[string][]view{}
	for name := range r.pages {
		if len(samples[name]) == 0 {
			t.Errorf("pages/%s.html has no sample: no test sees it", name)
		}
		for _, page := range samples[name] {
			views[name] = append(views[name],
				view{layout{Title: "Sample", Path: "/" + name, Learn: true}, page},
				view{layout{
					Title: "Sample", Path: "/" + name, Member: "Ada", Notices: []string{"Done.", "And done."},
					Version: "1.2.3", Instance: "start 17", Store: "Redis",
				}, page},
				view{layout{Title: "Sample", Neutral: true, Version: "1.2.3"}, page},
			)
		}
	}
	return views
}

func TestEveryPageIsWholeAndAccessible(t *testing.T) {
	r, files := newTestRenderer(t)
	for name, views := range sampleViews(t, r) {
		for _, v := range views {
			_, doc := rendered(t, r, name, v)
			for selector, want := range map[string]int{
				"html[lang=en]": 1, "title": 1, "h1": 1, "main#main": 1, "a[href='#main']": 1, "header": 1, "footer": 1,
				"[style], style, script:not([src])": 0, // the Content-Security-Policy forbids them
				"button:not(form button)":           0, // does nothing without a script
			} {
				if got := doc.Find(selector).Length(); got != want {
					t.Errorf("%s: %d of %q, want %d", name, got, selector, want)
				}
			}
			checkIDs(t, name, doc)
			doc.Find("input:not([type=hidden])").Each(func(_ int, input *goquery.Selection) {
				if doc.Find("label[for='"+input.AttrOr("id", "")+"']").Length() != 1 {
					t.Errorf("%s: input %q has no label of its own", name, input.AttrOr("name", ""))
				}
			})
			doc.Find("link[href], script[src]").Each(func(_ int, ref *goquery.Selection) {
				url := ref.AttrOr("href", ref.AttrOr("src", ""))
				if _, ok := files.find(strings.TrimPrefix(strings.TrimPrefix(url, assetPrefix), "/")); !ok {
					t.Errorf("%s: asks for %q, which is not served", name, url)
				}
			})
		}
	}
}

// checkIDs finds ids used twice, and references to ids that are not there.
func checkIDs(t *testing.T, page string, doc *goquery.Document) {
	t.Helper()
	seen := map[string]bool{}
	doc.Find("[id]").Each(func(_ int, s *goquery.Selection) {
		id := s.AttrOr("id", "")
		if seen[id] {
			t.Errorf("%s: id %q twice", page, id)
		}
		seen[id] = true
	})
	doc.Find("[aria-describedby], [aria-labelledby], label[for]").Each(func(_ int, s *goquery.Selection) {
		refs := s.AttrOr("aria-describedby", "") + " " + s.AttrOr("aria-labelledby", "") + " " + s.AttrOr("for", "")
		for _, id := range strings.Fields(refs) {
			if !seen[id] {
				t.Errorf("%s: refers to id %q, which is not there", page, id)
			}
		}
	})
}

func TestWhatIsWrongStandsAtItsFieldAndInASummaryThatLeadsThere(t *testing.T) {
	r, _ := newTestRenderer(t)
	for _, name := range []string{"register", "login", "session", "account", "email", "proof", "forgot", "reset"} {
		_, doc := rendered(t, r, name, view{Page: samplePages()[name][1]})
		fields := 0
		doc.Find("input[aria-invalid]").Each(func(_ int, input *goquery.Selection) {
			fields++
			id := input.AttrOr("id", "")
			if described := input.AttrOr("aria-describedby", ""); !strings.Contains(described, id+"-error") {
				t.Errorf("%s: field %q is described by %q, not by its error", name, id, described)
			}
			said := doc.Find("#" + id + "-error").Text()
			if link := doc.Find("[role=alert][tabindex='-1'][autofocus] a[href='#" + id + "']").First().Text(); link == "" || name != "login" && link != said {
				t.Errorf("%s: summary says %q of field %q, the field %q", name, link, id, said)
			}
		})
		if want := doc.Find(".field").Length(); fields != want {
			t.Errorf("%s: %d of %d wrong fields are marked", name, fields, want)
		}
		if name != "login" && !strings.Contains(doc.Find("[role=alert]").Text(), "Try again.") {
			t.Errorf("%s: an error of no field is not in the summary", name)
		}
		_, doc = rendered(t, r, name, view{Page: samplePages()[name][0]})
		if doc.Find("[role=alert], [aria-invalid]").Length() > 0 {
			t.Errorf("%s: a fresh form shows errors", name)
		}
	}
}

func TestPasswordsAreNeverSentBackAndFillersKnowTheFields(t *testing.T) {
	r, _ := newTestRenderer(t)
	for name, want := range map[string]map[string]string{
		"register": {"name": "name", "email": "email", "password": "new-password"},
		"login":    {"email": "username", "password": "current-password"},
		"password": {"current": "current-password", "new": "new-password"},
		"proof":    {"password": "current-password"},
		"reset":    {"password": "new-password"},
	} {
		_, doc := rendered(t, r, name, view{Page: samplePages()[name][1]})
		for field, filler := range want {
			input := doc.Find("input[name=" + field + "]")
			if got := input.AttrOr("autocomplete", ""); got != filler {
				t.Errorf("%s: autocomplete of %s is %q, want %q", name, field, got, filler)
			}
			if _, has := input.Attr("value"); has == (input.AttrOr("type", "") == "password") {
				t.Errorf("%s: value of %s sent back: %v", name, field, has)
			}
		}
	}
}

func TestTheHeaderIsForWhoeverIsAsking(t *testing.T) {
	r, _ := newTestRenderer(t)
	for who, test := range map[string]struct {
		layout layout
		links  string
		logout int
	}{
		"guest":            {layout{Path: "/login"}, "/session /login /register", 0},
		"learning guest":   {layout{Learn: true}, "/session /explain /login /register", 0},
		"member":           {layout{Member: "Ada", Path: "/devices"}, "/profile /devices /session /account", 1},
		"learning member":  {layout{Member: "Ada", Learn: true}, "/profile /devices /session /explain /account", 1},
		"unknown, at 503s": {layout{Neutral: true, Learn: true}, "", 0},
	} {
		_, doc := rendered(t, r, "home", view{test.layout, homePage{}})
		links := doc.Find("header a:not(.brand)").Map(func(_ int, a *goquery.Selection) string { return a.AttrOr("href", "") })
		if got := strings.Join(links, " "); got != test.links {
			t.Errorf("%s: header links to %q, want %q", who, got, test.links)
		}
		if got := doc.Find("header form[method=post][action='/logout'] button").Length(); got != test.logout {
			t.Errorf("%s: %d log-out buttons, want %d", who, got, test.logout)
		}
		if current := doc.Find("[aria-current=page]").AttrOr("href", ""); current != test.layout.Path {
			t.Errorf("%s: current page is %q, want %q", who, current, test.layout.Path)
		}
	}
}

func TestTheGreetingIsTheNameAndNothingElse(t *testing.T) {
	r, _ := newTestRenderer(t)
	html, _ := rendered(t, r, "profile", view{Page: profilePage{Name: `<b>"Bobby" & Co+</b>`}})
	if want := `<h1>Hello, &lt;b&gt;&#34;Bobby&#34; &amp; Co&#43;&lt;/b&gt;!</h1>`; !strings.Contains(html, want) {
		t.Errorf("no %s in\n%s", want, html)
	}
}

func TestABrokenTemplateStopsTheStart(t *testing.T) {
	_, files := newTestRenderer(t)
	for fault, source := range map[string]string{
		"does not parse":        `{{define "main"}}{{if}}{{end}}`,
		"cannot be escaped":     `{{define "main"}}<a href="{{if .Page}}'{{else}}"{{end}}>{{end}}`,
		"asks for no asset":     `{{define "main"}}{{asset "css/none.css"}}{{end}}`,
		"calls what is unknown": `{{define "main"}}{{shout .Page}}{{end}}`,
		"includes what is gone": `{{define "main"}}{{template "gone"}}{{end}}`,
	} {
		_, err := newRenderer(fstest.MapFS{
			"layouts/base.html": {Data: []byte(`<p>{{block "main" .}}{{end}}</p>`)},
			"pages/broken.html": {Data: []byte(source)},
		}, files)
		if err == nil || !strings.Contains(err.Error(), "broken") {
			t.Errorf("a template that %s: error %v, want one that names it", fault, err)
		}
	}
}

func TestAPageThatFailsWritesNothing(t *testing.T) {
	r, _ := newTestRenderer(t)
	for _, page := range []string{"none", "profile"} {
		var out bytes.Buffer
		if err := r.render(&out, page, view{Page: struct{}{}}); err == nil || out.Len() > 0 {
			t.Errorf("page %q with the wrong struct: error %v, %d bytes written", page, err, out.Len())
		}
	}
}
