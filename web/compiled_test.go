package web

import (
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/view"
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
	t.Parallel()
	views, _ := newTestViews(t)
	for _, name := range pageNames(t) {
		evil := view.Data{Layout: hostileCopy(layout{Flashes: []notice{{}}}), Page: hostileCopy(samplePages()[name][1])}
		_, doc := rendered(t, views, name, evil)
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

// interpreted is data that package view leaves to html/template: it compiles
// templates for structs, not for pointers to them.
func interpreted(data view.Data) view.Data {
	page := reflect.New(reflect.TypeOf(data.Page))
	page.Elem().Set(reflect.ValueOf(data.Page))
	return view.Data{Layout: data.Layout, Page: page.Interface()}
}

func TestACompiledPageIsThePageOfHTMLTemplate(t *testing.T) {
	t.Parallel()
	views, _ := newTestViews(t)
	for name, samples := range sampleData(t) {
		for _, data := range samples {
			samples = append(samples, view.Data{Layout: hostileCopy(data.Layout), Page: hostileCopy(data.Page)})
		}
		for _, data := range samples {
			got, _ := rendered(t, views, name, data)
			want, _ := rendered(t, views, name, interpreted(data))
			if got != want {
				t.Errorf("%s: compiled\n%s\nand by html/template\n%s", name, got, want)
			}
		}
	}
}

// The two pages that members open most are compiled: html/template allocates
// some 200 times for one of them.
func TestTheGreetingPagesAreCompiled(t *testing.T) {
	// AllocsPerRun counts for the whole process.
	views, _ := newTestViews(t)
	for _, name := range []string{"home", "profile"} {
		data := inLayout(layout{Title: "Sample", Member: "Ada"}, samplePages()[name][1])
		n := testing.AllocsPerRun(100, func() {
			if err := views.Render(io.Discard, name, data); err != nil {
				t.Fatal(err)
			}
		})
		if n > 20 {
			t.Errorf("%s takes %.0f allocations: its template has something in it that is not compiled", name, n)
		}
	}
}

// BenchmarkRenderProfile compares the two ways from a struct to HTML.
func BenchmarkRenderProfile(b *testing.B) {
	views, _ := newTestViews(b)
	data := inLayout(
		layout{Title: "Profile", Path: "/profile", Member: "Ada", Learn: true, Version: "1.2.3", Instance: "start 17", Store: "Redis"},
		samplePages()["profile"][1],
	)
	for way, data := range map[string]view.Data{"compiled": data, "interpreted": interpreted(data)} {
		b.Run(way, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := views.Render(io.Discard, "profile", data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
