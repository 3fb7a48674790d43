// Package pagetest renders page templates with sample data and checks what holds for
// every page. It must not know which pages there are.
package pagetest

import (
	"bytes"
	"io/fs"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/dev/require"
	"holdfast/internal/view"
)

// Account is the value of the field "account" in the forms of a member's sample.
const Account = "the account"

// Suite is the set of pages in one folder of templates.
type Suite struct {
	Views     *view.Set
	Templates fs.FS
	Samples   map[string][]any // by page, with nothing in it and with everything
	Source    string           // where the samples are added: "samplePages in web/render_test.go"
	// Layouts returns the layouts of a page: for a guest, for a member with Account,
	// and for an error.
	Layouts func(page string) []any
	Served  func(url string) bool // whether a static file is served
	Named   []string              // actions of forms that name the account themselves
}

// Names returns the names of the pages that have templates.
func (s Suite) Names(t testing.TB) []string {
	t.Helper()
	files, err := fs.Glob(s.Templates, "pages/*.html")
	if err != nil || len(files) == 0 {
		t.Fatalf("pages %q, error %v", files, err)
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(path.Base(file), ".html")
	}
	return files
}

// Data returns each sample in each layout.
func (s Suite) Data(t testing.TB) map[string][]view.Data {
	t.Helper()
	data := map[string][]view.Data{}
	for _, name := range s.Names(t) {
		if len(s.Samples[name]) == 0 {
			t.Errorf("pages/%s.html has no sample, so no test sees it: add it to %s, once with nothing in it and once with everything", name, s.Source)
		}
		for _, page := range s.Samples[name] {
			for _, layout := range s.Layouts(name) {
				data[name] = append(data[name], view.Data{Layout: layout, Page: page})
			}
		}
	}
	return data
}

// Render renders one page and returns its HTML and the parsed document.
func Render(t testing.TB, views *view.Set, page string, data view.Data) (string, *goquery.Document) {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, views.Render(&out, page, data))
	html := out.String()
	doc, err := goquery.NewDocumentFromReader(&out)
	require.NoError(t, err)
	return html, doc
}

// CheckAccessible checks that every page is complete and accessible.
func (s Suite) CheckAccessible(t *testing.T) {
	for name, samples := range s.Data(t) {
		for _, data := range samples {
			_, doc := Render(t, s.Views, name, data)
			for selector, want := range map[string]int{
				"html[lang=en]": 1, "title": 1, "meta[name=description]": 1, "h1": 1, "main#main": 1, "a[href='#main']": 1, "header": 1, "footer": 1,
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
				if !strings.HasPrefix(url, "data:") && !s.Served(url) { // a data: URL is the image itself
					t.Errorf("%s: asks for %q, which is not served", name, url)
				}
			})
		}
	}
}

// checkIDs finds duplicate IDs and references to missing IDs.
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

var formTargets = regexp.MustCompile(`<form[^>]* action="([^"{]*)`)

// CheckForms checks that every form in the templates, even one that is rarely shown,
// carries the account it is shown for.
func (s Suite) CheckForms(t *testing.T) {
	shown := map[string]bool{}
	for name, samples := range s.Samples {
		for _, page := range samples {
			_, doc := Render(t, s.Views, name, view.Data{Layout: s.Layouts(name)[1], Page: page})
			for _, form := range doc.Find("form[method=post]").EachIter() {
				action := form.AttrOr("action", "")
				shown[action] = true
				if got := form.Find("input[type=hidden][name=account]").AttrOr("value", ""); (got == Account) == slices.Contains(s.Named, action) {
					t.Errorf("%s: the form for %s carries the account %q: put {{template \"account\" $.Layout.Account}} into it", name, action, got)
				}
			}
		}
	}
	err := fs.WalkDir(s.Templates, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		source, err := fs.ReadFile(s.Templates, file)
		for _, found := range formTargets.FindAllSubmatch(source, -1) {
			// If an action ends with a slash, the page supplies the rest.
			if action := string(found[1]); !strings.HasSuffix(action, "/") && !shown[action] {
				t.Errorf("%s: no sample in %s shows the form for %s", file, s.Source, action)
			}
		}
		return err
	})
	require.NoError(t, err)
}

// CheckEscaping fills every text with something that would become an element, an
// attribute or a script if it were not escaped.
func (s Suite) CheckEscaping(t *testing.T) {
	for _, name := range s.Names(t) {
		evil := view.Data{Layout: hostileCopy(s.Layouts(name)[1]), Page: hostileCopy(s.Samples[name][1])}
		_, doc := Render(t, s.Views, name, evil)
		if n := doc.Find("x-evil, [onload]").Length(); n > 0 {
			t.Errorf("%s: %d pieces of text became elements", name, n)
		}
		doc.Find("[href], [src], [action]").Each(func(_ int, s *goquery.Selection) {
			for _, attribute := range []string{"href", "src", "action"} {
				if strings.HasPrefix(s.AttrOr(attribute, ""), "javascript:") {
					t.Errorf("%s: text became the script of an %s", name, attribute)
				}
			}
		})
	}
}

// CheckCompiled compares each page with the output of html/template.
func (s Suite) CheckCompiled(t *testing.T) {
	for name, samples := range s.Data(t) {
		for _, data := range samples {
			samples = append(samples, view.Data{Layout: hostileCopy(data.Layout), Page: hostileCopy(data.Page)})
		}
		for _, data := range samples {
			got, _ := Render(t, s.Views, name, data)
			want, _ := Render(t, s.Views, name, Interpreted(data))
			if got != want {
				t.Errorf("%s: compiled\n%s\nand by html/template\n%s", name, got, want)
			}
		}
	}
}

// Interpreted returns data that package view leaves to html/template: view compiles
// templates for structs, not for pointers to structs.
func Interpreted(data view.Data) view.Data {
	page := reflect.New(reflect.TypeOf(data.Page))
	page.Elem().Set(reflect.ValueOf(data.Page))
	return view.Data{Layout: data.Layout, Page: page.Interface()}
}

func hostileCopy(v any) any {
	filled := reflect.New(reflect.TypeOf(v)).Elem()
	filled.Set(reflect.ValueOf(v))
	hostile(filled)
	return filled.Interface()
}

func hostile(v reflect.Value) {
	if !v.CanSet() {
		return // no template can read it either
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(`javascript:x"'><x-evil onload=1>{{.}}&amp;` + "\x00+" + v.String())
	case reflect.Struct:
		for i := range v.NumField() {
			hostile(v.Field(i))
		}
	case reflect.Slice:
		own := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(own, v)
		for i := range own.Len() {
			hostile(own.Index(i))
		}
		v.Set(own)
	}
}
