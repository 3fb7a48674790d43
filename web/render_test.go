package web

import (
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit/pagetest"
	"holdfast/internal/form"
	"holdfast/internal/view"
	"holdfast/static"
	"holdfast/templates"
)

func newTestViews(t testing.TB) (*view.Set, *assets) {
	t.Helper()
	all, err := loadOnce(nil, false)
	require.NoError(t, err)
	return all.views, all.assets
}

// suite returns the test suite for this package's pages.
func suite(t testing.TB) pagetest.Suite {
	t.Helper()
	views, files := newTestViews(t)
	atRoot, err := newRootFiles(static.Root)
	require.NoError(t, err)
	return pagetest.Suite{
		Views: views, Templates: templates.FS, Samples: samplePages(), Source: "samplePages in web/render_test.go",
		Layouts: func(page string) []any {
			return []any{
				layout{Title: "Sample", Path: "/" + page},
				layout{
					Title: "Sample", Path: "/" + page, Member: "Ada", Account: pagetest.Account, Flashes: []notice{{Text: "Done."}, {"We wrote you an email. No mail server is set up, so", true}},
					Version: "1.2.3", Instance: "restarted 16 times, process ID 1954", Store: "Redis",
				},
				layout{Title: "Sample", Neutral: true, Version: "1.2.3"},
			}
		},
		Served: func(url string) bool {
			_, served := files.find(strings.TrimPrefix(strings.TrimPrefix(url, assetPrefix), "/"))
			return served || atRoot[strings.TrimPrefix(url, "/")] != nil
		},
		Named: []string{"/register", "/login", "/forgot", "/reset", "/verify"},
	}
}

// inLayout returns the data that a page's template gets.
func inLayout(l layout, page any) view.Data { return view.Data{Layout: l, Page: page} }

// samplePages returns each page with as much, and with as little, content as it can
// have.
func samplePages() map[string][]any {
	then := Moment{"2026-11-20T18:04:05Z", "3 days ago"}
	drawn := FlowDiagram{
		Greeting: "Hello, Ada!", Store: "Redis", Record: "name: Ada", Linked: true,
		Cookie: FlowArrow{Value: "qUdM…hYsf", Linked: true}, Key: FlowArrow{Value: "8BMV…JvWw", Linked: true}, Page: FlowArrow{Value: "Hello, Ada!", Linked: true},
	}
	wrong := everyFieldWrong()
	return map[string][]any{
		"home":     {homePage{URL: "http://localhost:3000/", Way: drawn}, homePage{Name: "Ada", Way: drawn}},
		"register": {registerPage{MinPassword: 15}, registerPage{Name: "Ada", Email: "ada@example.com", Remember: true, MinPassword: 15, RememberFor: "30 days", Taken: true, Next: "/devices", problems: problems{Errors: wrong}}},
		"login": {
			loginPage{RememberFor: "30 days"},
			loginPage{Email: "ada@example.com", Next: "/devices", Remember: true, RememberFor: "30 days", problems: problems{Errors: wrong}},
		},
		"profile": {profilePage{}, profilePage{
			Name: "Ada", LoggedInSince: then, LastSeen: then, IdleEnd: then, LatestEnd: then, Remembered: true,
			Outlived: "3", ServerStarted: then,
		}},
		"session": {sessionPage{}, sessionPage{
			Values: []sessionValue{{"age", "36"}, {"colour", "green"}}, Key: "a", Value: "b", problems: problems{Errors: wrong}, URL: "http://localhost:3000/session",
		}},
		"devices": {devicesPage{}, devicesPage{
			Devices: []DeviceCard{
				{ID: "1", Title: "Firefox on Linux", Kind: "computer", Address: "127.0.0.1", Since: then, LastSeen: then, Current: true, Account: "the account"},
				{ID: "2", Title: "Safari on iPhone", Kind: "phone", Address: "::1", Since: then, LastSeen: then, Remembered: true, Account: "the account"},
			},
			Others: 1,
			Past: []pastDevices{{Title: "Chrome on Windows", Kind: "computer", Address: "127.0.0.1", Sessions: []pastSession{
				{How: "Expired", Since: then, Ended: then}, {How: "Logged out", Since: then, Ended: then},
			}}},
			neighbours: neighbours{Older: "/devices?page=3", Newer: "/devices?page=1"},
		}},
		"account":  {accountPage{}, accountPage{Current: "Ada", Name: "Ada", Editing: true, Email: "ada@example.com", MaxName: 120, problems: problems{Errors: wrong}}, accountPage{Email: "a@b", MailOn: true, problems: problems{Failed: "Too early."}}, accountPage{Email: "a@b", Verified: true, Mails: true}},
		"email":    {emailPage{}, emailPage{Now: "ada@example.com", Email: "a@b", problems: problems{Failed: "Too early.", Errors: wrong}}},
		"password": {passwordPage{MinPassword: 15}, passwordPage{Email: "ada@example.com", MinPassword: 15, problems: problems{Failed: "Too early.", Errors: wrong}}},
		"reauth":   {reauthPage{}, reauthPage{Next: "/devices", problems: problems{Failed: "Too early.", Errors: wrong}}},
		"forgot":   {forgotPage{}, forgotPage{Email: "a@b", problems: problems{Failed: "Too early.", Errors: wrong}}},
		"reset":    {resetPage{MinPassword: 15}, resetPage{Token: "t", MinPassword: 15, problems: problems{Failed: "Too early.", Errors: wrong}}},
		"verify":   {verifyPage{}, verifyPage{Token: "t", Purpose: "keep", Email: "a@b", Heading: "Confirm", problems: problems{Failed: "Too early."}}},
		"linkover": {linkOverPage{}, linkOverPage{Done: "It is done", Next: "/account", NextText: "Go on"}},
		"delete":   {deletePage{}, deletePage{Now: "ada@example.com", Email: "ada", problems: problems{Errors: wrong}}},
		"history": {historyPage{}, historyPage{
			Events:     []historyEvent{{What: "Logged in", Browser: "Firefox on Linux", Kind: "computer", Address: "::1", At: then}, {What: "Failed", At: then}},
			neighbours: neighbours{Older: "/account/history?page=3", Newer: "/account/history?page=1"},
		}},
		"mail": {mailsPage{}, mailsPage{Most: 20, Mails: []shownMail{
			{From: "a@b", To: "c@d", Subject: "Hello", At: then, Open: true, Paragraphs: []mailParagraph{{Text: "One"}, {Items: []string{"Two"}}, {Text: "Go", Href: "/reset?token=t"}}},
			{Subject: "Another", At: then},
		}}},
		"error": {errorPage{}, errorPage{Status: "404", Heading: "No such page", Message: "Look again.", RequestID: "abc", OnURL: "/x", OnText: "Again", Back: true}},
	}
}

// templateOf returns the source of a page's template.
func templateOf(t testing.TB, page string) string {
	t.Helper()
	source, err := fs.ReadFile(templates.FS, "pages/"+page+".html")
	require.NoError(t, err)
	return string(source)
}

// fieldErrors matches the fields for which a template shows errors.
var fieldErrors = regexp.MustCompile(`\.Errors\.Of "(\w+)"`)

// everyFieldWrong returns an error for every field of every template, and one for no
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

// TestNoTemplateHasAFormWithoutItsAccount checks every form of every template,
// including those that are rarely shown.
func TestNoTemplateHasAFormWithoutItsAccount(t *testing.T) { suite(t).CheckForms(t) }

func TestEveryPageIsWholeAndAccessible(t *testing.T) {
	t.Parallel()
	suite(t).CheckAccessible(t)
}

func TestWhatIsWrongStandsAtItsFieldAndInASummaryThatLeadsThere(t *testing.T) {
	t.Parallel()
	views, _ := newTestViews(t)
	forms := 0
	for _, name := range suite(t).Names(t) {
		if !strings.Contains(templateOf(t, name), ".Errors") {
			continue
		}
		forms++
		_, doc := pagetest.Render(t, views, name, inLayout(layout{}, samplePages()[name][1]))
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
		_, doc = pagetest.Render(t, views, name, inLayout(layout{}, samplePages()[name][0]))
		if doc.Find("[role=alert], [aria-invalid]").Length() > 0 {
			t.Errorf("%s: a fresh form shows errors", name)
		}
	}
	if forms < 4 {
		t.Errorf("only %d pages have a form that can be mended", forms)
	}
}

// autocompletes are the fields that password managers and browsers fill, with the
// allowed values.
var autocompletes = map[string]string{"name": "name", "email": "email username", "password": "new-password current-password"}

func TestEveryFieldThatCanBeFilledSaysSoAndNoPasswordComesBack(t *testing.T) {
	t.Parallel()
	views, _ := newTestViews(t)
	for name, all := range suite(t).Data(t) {
		for _, data := range all {
			_, doc := pagetest.Render(t, views, name, data)
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
	_, doc := pagetest.Render(t, views, "home", inLayout(layout{Neutral: true}, homePage{}))
	if n := doc.Find("header a:not(.brand), header form").Length(); n != 0 {
		t.Errorf("the header at an error has %d links and forms", n)
	}
}

func TestTheGreetingIsTheNameAndNothingElse(t *testing.T) {
	t.Parallel()
	views, _ := newTestViews(t)
	html, _ := pagetest.Render(t, views, "profile", inLayout(layout{}, profilePage{Name: `<b>"Bobby" & Co+</b>`}))
	if want := `<h1>Hello, &lt;b&gt;&#34;Bobby&#34; &amp; Co&#43;&lt;/b&gt;!</h1>`; !strings.Contains(html, want) {
		t.Errorf("no %s in\n%s", want, html)
	}
}

func TestNoTextBecomesMarkup(t *testing.T) {
	t.Parallel()
	suite(t).CheckEscaping(t)
}

func TestACompiledPageIsThePageOfHTMLTemplate(t *testing.T) {
	t.Parallel()
	suite(t).CheckCompiled(t)
}

// The two pages that members open most are compiled: html/template makes some 200
// allocations for one of them.
func TestTheGreetingPagesAreCompiled(t *testing.T) {
	// AllocsPerRun counts for the whole process.
	views, _ := newTestViews(t)
	for _, name := range []string{"home", "profile"} {
		data := inLayout(layout{Title: "Sample", Member: "Ada"}, samplePages()[name][1])
		n := testing.AllocsPerRun(100, func() {
			require.NoError(t, views.Render(io.Discard, name, data))
		})
		if n > 20 {
			t.Errorf("%s takes %.0f allocations: its template has something in it that is not compiled", name, n)
		}
	}
}

// BenchmarkRenderProfile compares compiled and interpreted rendering of the profile
// page.
func BenchmarkRenderProfile(b *testing.B) {
	views, _ := newTestViews(b)
	data := inLayout(
		layout{Title: "Profile", Path: "/profile", Member: "Ada", Version: "1.2.3", Instance: "restarted 16 times, process ID 1954", Store: "Redis"},
		samplePages()["profile"][1],
	)
	for way, data := range map[string]view.Data{"compiled": data, "interpreted": pagetest.Interpreted(data)} {
		b.Run(way, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, views.Render(io.Discard, "profile", data))
			}
		})
	}
}
