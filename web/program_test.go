package web

import (
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
)

// hostile fills every text in v with something that would become an element,
// an attribute or a script if it were not escaped where it stands.
func hostile(v reflect.Value) {
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

func hostileCopy(v any) any {
	filled := reflect.New(reflect.TypeOf(v)).Elem()
	filled.Set(reflect.ValueOf(v))
	hostile(filled)
	return filled.Interface()
}

func TestNoTextBecomesMarkup(t *testing.T) {
	r, _ := newTestRenderer(t)
	for name := range r.pages {
		evil := view{hostileCopy(layout{Notices: []string{""}}).(layout), hostileCopy(samplePages()[name][1])}
		_, doc := rendered(t, r, name, evil)
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

func TestAProgramWritesWhatItsTemplateWrites(t *testing.T) {
	r, _ := newTestRenderer(t)
	for name, views := range sampleViews(t, r) {
		for _, v := range views {
			views = append(views, view{hostileCopy(v.Layout).(layout), hostileCopy(v.Page)})
		}
		for _, v := range views {
			got, _ := rendered(t, r, name, v)
			var want strings.Builder
			if err := r.pages[name].template.Execute(&want, v); err != nil {
				t.Fatal(err)
			}
			if got != want.String() {
				t.Errorf("%s: the program wrote\n%s\nand the template\n%s", name, got, want.String())
			}
		}
	}
	for _, hot := range []string{"home", "profile"} {
		if r.pages[hot].program == nil {
			t.Errorf("%s has no program: its template uses what no program can do", hot)
		}
	}
}

func TestAPageOfAnotherTypeIsLeftToTheTemplate(t *testing.T) {
	r, _ := newTestRenderer(t)
	rendered(t, r, "home", view{Page: homePage{Name: "Ada"}})
	html, _ := rendered(t, r, "home", view{Page: struct {
		Age, Name, URL string
		Way            wayDrawing
	}{Age: "36", Name: "Grace"}})
	if !strings.Contains(html, "Hello, Grace!") {
		t.Errorf("no greeting for Grace in\n%s", html)
	}
}

// BenchmarkFillProfile compares the two ways from a struct to HTML.
func BenchmarkFillProfile(b *testing.B) {
	r, _ := newTestRenderer(b)
	v := view{
		layout{Title: "Profile", Path: "/profile", Member: "Ada", Learn: true, Version: "1.2.3", Instance: "start 17", Store: "Redis"},
		samplePages()["profile"][1],
	}
	b.Run("program", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := r.render(io.Discard, "profile", v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("template", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := r.pages["profile"].template.Execute(io.Discard, v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
