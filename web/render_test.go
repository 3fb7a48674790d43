package web

import (
	"bytes"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/form"
	"holdfast/internal/learn/attack"
	"holdfast/internal/view"
	"holdfast/static"
	"holdfast/templates"
)

func newTestViews(t testing.TB) (*view.Set, *assets) {
	t.Helper()
	all, err := loadOnce()
	if err != nil {
		t.Fatal(err)
	}
	return all.views, all.assets
}

// pageNames are the pages there are templates for.
func pageNames(t testing.TB) []string {
	t.Helper()
	files, err := fs.Glob(templates.FS, "pages/*.html")
	if err != nil || len(files) == 0 {
		t.Fatalf("pages %q, error %v", files, err)
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(path.Base(file), ".html")
	}
	return files
}

// inLayout is what the template of a page is given.
func inLayout(l layout, page any) view.Data { return view.Data{Layout: l, Page: page} }

// rendered is one page as its HTML and as a tree to select from.
func rendered(t testing.TB, views *view.Set, page string, data view.Data) (string, *goquery.Document) {
	t.Helper()
	var out bytes.Buffer
	if err := views.Render(&out, page, data); err != nil {
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
	then := moment{"2026-11-20T18:04:05Z", "3 days ago"}
	drawn := wayDrawing{
		Words: wayWords, Greeting: "Hello, Ada!", Store: "Redis", Record: "name: Ada", Linked: true,
		Cookie: wayPart{Value: "qUdM…hYsf", Linked: true}, Key: wayPart{Value: "8BMV…JvWw", Linked: true}, Page: wayPart{Value: "Hello, Ada!", Linked: true},
	}
	wrong := everyFieldWrong()
	return map[string][]any{
		"home":     {homePage{URL: "http://localhost:3000/", Way: drawn}, homePage{Name: "Ada", Way: drawn}},
		"register": {registerPage{MinPassword: 15}, registerPage{Name: "Ada", Email: "ada@example.com", Remember: true, MinPassword: 15, MaxName: 80, RememberDays: 30, Taken: true, Next: "/devices", Errors: wrong}},
		"login": {
			loginPage{RememberDays: 30},
			loginPage{Email: "ada@example.com", Next: "/devices", Remember: true, RememberDays: 30, Errors: wrong},
		},
		"profile": {profilePage{}, profilePage{
			Name: "Ada", LoggedInSince: then, LastSeen: then, IdleEnd: then, LatestEnd: then, Remembered: true,
			Store: "Redis at localhost:6379", Outlived: 3, OutlivedWords: "3",
			ServerStarted: then, StartNumber: 17, Instance: "start 17", OlderThanServer: true,
		}},
		"session": {sessionPage{}, sessionPage{
			Values: []sessionValue{{"age", "36"}, {"colour", "green"}}, Key: "a", Value: "b", Errors: wrong, Curl: []string{"curl x", "curl y"},
		}},
		"devices": {devicesPage{}, devicesPage{
			Devices: []deviceCard{
				{ID: "1", Title: "Firefox on Linux", Kind: "computer", Address: "127.0.0.1", Since: then, LastSeen: then, Current: true, Account: "the account"},
				{ID: "2", Title: "Safari on iPhone", Kind: "phone", Address: "::1", Since: then, LastSeen: then, Remembered: true, Account: "the account"},
			},
			Others: 1,
			Past: []pastDevices{{Title: "Chrome on Windows", Kind: "computer", Address: "127.0.0.1", Sessions: []pastSession{
				{How: "Expired", Since: then, Ended: then}, {How: "Logged out", Since: then, Ended: then},
			}}},
			neighbours: neighbours{Older: "/devices?page=3", Newer: "/devices?page=1"},
		}},
		"explain": {explainPage{}, explainPage{
			Heading: "How the server knew you", Lead: "Look.", Summary: "2 steps.", Guest: true, Cookie: "session", Way: drawn,
			Steps: []explainStep{
				{ID: "one", Title: "One", Text: "First.", Took: "0.21 ms", File: "web/session_middleware.go", Function: "(*Site).token", Hand: []string{"curl x", "redis-cli y"}, Token: true, HandWords: "It prints z."},
				{ID: "two", Title: "Two", Text: "Then.", Bytes: "{}", Folded: "The 2 bytes", Facts: []explainFact{
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
			Store: "this server’s memory", Memory: true, Member: true, Failed: "It did not restart.",
			Outcome: &restartOutcome{Heading: "Hello again, Ada!", Why: "It was there.", Kept: true, Before: Process{1, 2, time.Unix(0, 0)}, Began: then, BeganNext: then},
			Devices: []deviceCard{{ID: "1", Title: "Firefox on Linux", Address: "127.0.0.1", Since: then, LastSeen: then, Current: true, Account: "the account"}}, Others: 1,
			Check: CheckState{
				Failed: "It did not start.", Reason: "no such file", Measured: time.Unix(1, 0), Heads: []string{"store", "kept"},
				Now:  []CheckRow{{Store: "redis", Waiting: "not tried"}},
				Rows: []CheckRow{{Store: "redis", Cells: []CheckCell{{"kept", "yes"}}, Sentence: "It keeps."}},
			},
			Began: then, Measured: then,
		}, labPage{Check: CheckState{Running: true, Heads: []string{"store", "kept"}, Now: []CheckRow{{Store: "redis", Waiting: "being tried"}}}, Began: then}},
		"attacks": {attacksPage{}, attacksPage{Busy: true, Attacks: []attackSection{
			{Name: "one", Title: "One", What: "It tries.", Test: "TestOne", File: "one_test.go", Waits: waitBars()},
			{Name: "two", Title: "Two", What: "It tries.", Report: &attackReport{At: then, Clock: "18:04 UTC", Open: true, Took: "0.2 s", Requests: "8 requests", Trials: []attackTrial{
				{Where: "This server", Outcome: "failed", Verdict: "The attack failed", Reason: ", because", Facts: "None.", Exchanges: []attack.Exchange{{Note: "Look.", Request: "GET /", Answer: "200 OK"}}},
				{Where: "A stock set-up", Outcome: "succeeded", Verdict: "The attack succeeded"},
			}}},
		}}},
		"why": {whyPage{}, whyPage{
			Learn: true, Member: true, Store: "Redis", Known: true, Measured: then, Faults: []memoryFault{{"It forgets", "It ends.", "a stranger", "Hello, Ada!"}},
			Second:  secondPart{Running: true, Process: 7, URL: "http://localhost:3001/profile", Ends: then, Greeting: "Hello, Ada!", Means: "It found you."},
			Endings: sessionEndings(), States: sessionStates(), Thieves: thieves(), Wire: wireRows(), HTTPS: true, Cookie: "session",
		}, whyPage{Learn: true, Second: secondPart{Refusal: "It is locked.", Means: "One at a time.", Failed: "Not now."}},
			whyPage{Learn: true, Second: secondPart{Blocked: "Not here."}}},
		"labwait":  {labWaitPage{Try: 1}, labWaitPage{Given: true, Try: maxTries}},
		"account":  {accountPage{}, accountPage{Name: "Ada", Email: "ada@example.com", MaxName: 120, Errors: wrong}, accountPage{Email: "a@b", MailOn: true, Failed: "Too early."}, accountPage{Email: "a@b", Verified: true, Mails: true}},
		"email":    {emailPage{}, emailPage{Now: "ada@example.com", Email: "a@b", Failed: "Too early.", Errors: wrong}},
		"password": {passwordPage{MinPassword: 15}, passwordPage{Email: "ada@example.com", MinPassword: 15, Failed: "Too early.", Errors: wrong}},
		"reauth":   {reauthPage{}, reauthPage{Next: "/devices", Failed: "Too early.", Errors: wrong}},
		"forgot":   {forgotPage{}, forgotPage{Email: "a@b", Failed: "Too early.", Errors: wrong}},
		"reset":    {resetPage{MinPassword: 15}, resetPage{Token: "t", MinPassword: 15, Failed: "Too early.", Errors: wrong}},
		"verify":   {verifyPage{}, verifyPage{Token: "t", Email: "a@b", Heading: "Confirm", What: "With this:", Button: "Go", Failed: "Too early."}},
		"linkover": {struct{}{}, struct{}{}},
		"delete":   {deletePage{}, deletePage{Now: "ada@example.com", Email: "ada", Errors: wrong}},
		"history": {historyPage{}, historyPage{
			Events:     []historyEvent{{What: "Logged in", Browser: "Firefox on Linux", Kind: "computer", Address: "::1", At: then}, {What: "Failed", At: then}},
			neighbours: neighbours{Older: "/account/history?page=3", Newer: "/account/history?page=1"},
		}},
		"mail": {mailsPage{}, mailsPage{Most: 20, Mails: []shownMail{
			{From: "a@b", To: "c@d", Subject: "Hello", At: then, Open: true, Paragraphs: []mailParagraph{{Text: "One"}, {Items: []string{"Two"}}, {Text: "Go", Href: "/reset?token=t"}}},
			{Subject: "Another", At: then},
		}}},
		"error": {errorPage{}, errorPage{Status: 404, Heading: "No such page", Message: "Look again.", RequestID: "abc", OnURL: "/x", OnText: "Again", Back: true}},
	}
}

// templateOf is the source of a page.
func templateOf(t testing.TB, page string) string {
	t.Helper()
	source, err := fs.ReadFile(templates.FS, "pages/"+page+".html")
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// fieldErrors finds the fields at which a template says what is wrong.
var fieldErrors = regexp.MustCompile(`\.Errors\.Of "(\w+)"`)

// everyFieldWrong has an error for every field of every template, and one of no
// field.
func everyFieldWrong() form.Errors {
	var wrong form.Errors
	_ = fs.WalkDir(templates.FS, "pages", func(file string, _ fs.DirEntry, _ error) error {
		source, _ := fs.ReadFile(templates.FS, file) // a folder has none
		for _, found := range fieldErrors.FindAllSubmatch(source, -1) {
			if field := string(found[1]); wrong.Of(field) == "" {
				wrong.Add(field, "Mend the "+field+".")
			}
		}
		return nil
	})
	wrong.Add("", "Try again.")
	return wrong
}

// sampleViews has each sample in the layout of a guest, of a member and of an
// error. Every page in templates must have a sample.
func sampleData(t testing.TB) map[string][]view.Data {
	t.Helper()
	samples := samplePages()
	data := map[string][]view.Data{}
	for _, name := range pageNames(t) {
		if len(samples[name]) == 0 {
			t.Errorf("pages/%s.html has no sample, so no test sees it: add it to samplePages in web/render_test.go, once with nothing in it and once with everything", name)
		}
		for _, page := range samples[name] {
			data[name] = append(data[name],
				inLayout(layout{Title: "Sample", Path: "/" + name, Learn: true}, page),
				inLayout(layout{
					Title: "Sample", Path: "/" + name, Member: "Ada", Flashes: []notice{{Text: "Done."}, {"A mail is on its way.", true}},
					Version: "1.2.3", Instance: "start 17", Store: "Redis",
				}, page),
				inLayout(layout{Title: "Sample", Neutral: true, Version: "1.2.3"}, page),
			)
		}
	}
	return data
}

var formTargets = regexp.MustCompile(`<form[^>]* action="([^"{]*)`)

// TestNoTemplateHasAFormWithoutItsAccount looks at every form that a template has,
// also where it is shown in rare cases only.
func TestNoTemplateHasAFormWithoutItsAccount(t *testing.T) {
	views, _ := newTestViews(t)
	const value = "the account"
	shown := map[string]bool{}
	for name, samples := range samplePages() {
		for _, page := range samples {
			_, doc := rendered(t, views, name, inLayout(layout{Title: "Sample", Member: "Ada", Account: value}, page))
			for _, form := range doc.Find("form[method=post]").EachIter() {
				action := form.AttrOr("action", "")
				shown[action] = true
				named := slices.Contains([]string{"/register", "/login", "/forgot", "/reset", "/verify"}, action)
				if got := form.Find("input[type=hidden][name=account]").AttrOr("value", ""); (got == value) == named {
					t.Errorf("%s: the form for %s carries the account %q: put {{template \"account\" $.Layout.Account}} into it", name, action, got)
				}
			}
		}
	}
	err := fs.WalkDir(templates.FS, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		source, err := fs.ReadFile(templates.FS, file)
		for _, found := range formTargets.FindAllSubmatch(source, -1) {
			action := string(found[1])
			if strings.HasSuffix(action, "/") { // the rest is the page's
				continue
			}
			if !shown[action] {
				t.Errorf("%s: no sample in samplePages shows the form for %s", file, action)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryPageIsWholeAndAccessible(t *testing.T) {
	t.Parallel()
	views, files := newTestViews(t)
	atRoot, err := newRootFiles(static.Root)
	if err != nil {
		t.Fatal(err)
	}
	for name, samples := range sampleData(t) {
		for _, data := range samples {
			_, doc := rendered(t, views, name, data)
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
			doc.Find("input:not([type=hidden]), textarea, select").Each(func(_ int, input *goquery.Selection) {
				if doc.Find("label[for='"+input.AttrOr("id", "")+"']").Length() != 1 {
					t.Errorf("%s: input %q has no label of its own", name, input.AttrOr("name", ""))
				}
			})
			doc.Find("link[href], script[src]").Each(func(_ int, ref *goquery.Selection) {
				url := ref.AttrOr("href", ref.AttrOr("src", ""))
				if strings.HasPrefix(url, "data:") {
					return // the picture itself
				}
				if file := strings.TrimPrefix(url, "/"); atRoot[file] != nil {
					return
				}
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
	t.Parallel()
	views, _ := newTestViews(t)
	forms := 0
	for _, name := range pageNames(t) {
		if !strings.Contains(templateOf(t, name), ".Errors") {
			continue
		}
		forms++
		_, doc := rendered(t, views, name, inLayout(layout{}, samplePages()[name][1]))
		fields := 0
		doc.Find("input[aria-invalid], textarea[aria-invalid], select[aria-invalid]").Each(func(_ int, input *goquery.Selection) {
			fields++
			id := input.AttrOr("id", "")
			if described := input.AttrOr("aria-describedby", ""); !strings.Contains(described, id+"-error") {
				t.Errorf("%s: field %q is described by %q, not by its error", name, id, described)
			}
			said := doc.Find("#" + id + "-error").Text()
			if link := doc.Find("[role=alert][tabindex='-1'][autofocus] a[href='#" + id + "']").First().Text(); link == "" || link != said {
				t.Errorf("%s: summary says %q of field %q, the field %q", name, link, id, said)
			}
		})
		if want := doc.Find(".field").Length(); fields != want {
			t.Errorf("%s: %d of %d wrong fields are marked: give each of class field its .Errors.Of and aria-invalid, and the last sample its errors", name, fields, want)
		}
		if !strings.Contains(doc.Find("[role=alert]").Text(), "Try again.") {
			t.Errorf("%s: an error of no field is not in the summary", name)
		}
		_, doc = rendered(t, views, name, inLayout(layout{}, samplePages()[name][0]))
		if doc.Find("[role=alert], [aria-invalid]").Length() > 0 {
			t.Errorf("%s: a fresh form shows errors", name)
		}
	}
	if forms < 4 {
		t.Errorf("only %d pages have a form that can be mended", forms)
	}
}

// autocompletes are the fields that password managers and browsers fill.
var autocompletes = map[string]string{"name": "name", "email": "email username", "password": "new-password current-password"}

func TestEveryFieldThatCanBeFilledSaysSoAndNoPasswordComesBack(t *testing.T) {
	t.Parallel()
	views, _ := newTestViews(t)
	for name, all := range sampleData(t) {
		for _, data := range all {
			_, doc := rendered(t, views, name, data)
			for field, allowed := range autocompletes {
				if name == "delete" {
					allowed = "off" // typing it is the confirmation
				}
				for _, input := range doc.Find("input[name=" + field + "]:not([type=hidden])").EachIter() {
					if got := input.AttrOr("autocomplete", ""); !slices.Contains(strings.Fields(allowed), got) {
						t.Errorf("%s: autocomplete of %s is %q, want one of %s", name, field, got, allowed)
					}
				}
			}
			if doc.Find("input[type=password][value]").Length() > 0 {
				t.Errorf("%s: a password is sent back", name)
			}
		}
	}
}

func TestTheHeaderOfAnErrorKnowsNobody(t *testing.T) {
	t.Parallel()
	views, _ := newTestViews(t)
	_, doc := rendered(t, views, "home", inLayout(layout{Neutral: true, Learn: true}, homePage{}))
	if n := doc.Find("header a:not(.brand), header form").Length(); n != 0 {
		t.Errorf("the header at an error has %d links and forms", n)
	}
}

func TestTheGreetingIsTheNameAndNothingElse(t *testing.T) {
	t.Parallel()
	views, _ := newTestViews(t)
	html, _ := rendered(t, views, "profile", inLayout(layout{}, profilePage{Name: `<b>"Bobby" & Co+</b>`}))
	if want := `<h1>Hello, &lt;b&gt;&#34;Bobby&#34; &amp; Co&#43;&lt;/b&gt;!</h1>`; !strings.Contains(html, want) {
		t.Errorf("no %s in\n%s", want, html)
	}
}
