package view_test

import (
	"bytes"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/view"
)

type sample struct {
	Name, Kind string
	Yes        bool
	Count      int
	Size       float64
	Names      []string
	None       []string
	Pairs      []pair
	One        pair
	Far        *pair
	Table      map[string]string
	Any        any
	Same       kind
}

type (
	pair struct{ Key, Value string }
	kind string
)

// Upper reveals whether a method was used as a field.
func (p pair) Upper() string { return strings.ToUpper(p.Key) }

func full() sample {
	return sample{
		Name: `<b>"Ada" & 'Bob'+</b>`, Kind: "b", Yes: true, Count: 3, Size: -0.5, Names: []string{"<i>", "two"},
		Pairs: []pair{{"a", "1"}, {"", "2"}, {"c", ""}}, One: pair{"k", "v"}, Far: &pair{"far", "away"},
		Table: map[string]string{"x": "y"}, Any: pair{"any", "thing"}, Same: "b",
	}
}

// templates returns pages of every kind that the compiler supports, and many that it
// must reject.
func templates() map[string]string {
	return map[string]string{
		"text":                 `<p>fixed</p>`,
		"text field":           `<p>{{.Page.Name}}</p>`,
		"attribute":            `<p title="{{.Page.Name}}" class='{{.Page.Kind}}'></p>`,
		"bare attribute":       `<p title={{.Page.Name}}></p>`,
		"raw text":             `<textarea>{{.Page.Name}}</textarea>`,
		"address":              `<a href="{{.Page.Name}}?q={{.Page.Kind}}">x</a>`,
		"script":               `<script>let a = {{.Page.Name}}</script>`,
		"comment":              `<p>{{/* nothing */}}<!-- {{.Page.Name}} --></p>`,
		"number":               `<p>{{.Page.Count}}</p>`,
		"named string type":    `<p>{{.Page.Same}}{{if eq .Page.Same "b"}}b{{end}}</p>`,
		"if string":            `{{if .Page.Name}}a{{else}}b{{end}}`,
		"if bool":              `{{if .Page.Yes}}a{{else}}b{{end}}`,
		"if int":               `{{if .Page.Count}}a{{else}}b{{end}}`,
		"if float":             `{{if .Page.Size}}a{{else}}b{{end}}`,
		"if slice":             `{{if .Page.None}}a{{else if .Page.Names}}b{{end}}`,
		"if struct":            `{{if .Page.One}}a{{else}}b{{end}}`,
		"if pointer":           `{{if .Page.Far}}a{{else}}b{{end}}`,
		"if map":               `{{if .Page.Table}}a{{else}}b{{end}}`,
		"if interface":         `{{if .Page.Any}}a{{else}}b{{end}}`,
		"if not":               `{{if not .Page.Yes}}a{{else}}b{{end}}`,
		"if and":               `{{if and .Page.Yes .Page.Name}}a{{else}}b{{end}}`,
		"eq":                   `{{if eq .Page.Kind "a"}}a{{else if eq .Page.Kind "b"}}b{{else}}c{{end}}`,
		"eq of many":           `{{if eq .Page.Kind "a" "b"}}a{{else}}c{{end}}`,
		"eq of two fields":     `{{if eq .Page.Kind .Page.Name}}a{{else}}c{{end}}`,
		"with string":          `{{with .Page.Name}}<p>{{.}}</p>{{else}}<p>{{.Page.Kind}}</p>{{end}}`,
		"with struct":          `{{with .Page.One}}{{.Key}}={{.Value}}{{end}}`,
		"with pointer":         `{{with .Page.Far}}{{.Key}}={{.Value}}{{end}}`,
		"with interface":       `{{with .Page.Any}}{{.Key}}={{.Value}}{{end}}`,
		"with eq":              `{{with eq .Page.Kind "b"}}{{.}}{{end}}`,
		"whole page":           `{{with .Page}}{{.Name}}{{with .One}}{{.Key}}{{end}}{{end}}`,
		"range strings":        `{{range .Page.Names}}<li>{{.}}</li>{{else}}none{{end}}`,
		"range structs":        `{{range .Page.Pairs}}<li>{{with .Key}}{{.}}{{end}}: {{.Value}}</li>{{end}}`,
		"range else":           `{{range .Page.None}}x{{else}}<p>{{.Page.Name}}</p>{{end}}`,
		"range map":            `{{range .Page.Table}}{{.}}{{end}}`,
		"range int":            `{{range .Page.Count}}{{.}}{{end}}`,
		"range with variables": `{{range $i, $p := .Page.Pairs}}{{$i}}{{$p.Key}}{{end}}`,
		"break":                `{{range .Page.Pairs}}{{if .Key}}{{.Key}}{{else}}{{break}}{{end}}{{end}}`,
		"nested field":         `<p>{{.Page.One.Key}}</p>`,
		"method":               `<p>{{.Page.One.Upper}}</p>`,
		"root variable":        `{{with .Page.One}}{{$.Layout.Title}}{{end}}`,
		"variable":             `{{$name := .Page.Name}}{{$name}}`,
		"function":             `{{len .Page.Names}}{{printf "%s!" .Page.Name}}{{.Page.Name | printf "%q"}}`,
		"template":             `{{template "pair" .Page.One}}{{template "fixed"}}`,
		"template in a loop":   `{{range .Page.Pairs}}{{template "pair" .}}{{end}}`,
		"template elsewhere":   `<p title="{{template "pair" .Page.One}}">{{template "pair" .Page.One}}</p>`,
		"recursion":            `{{template "down" .Page.Names}}`,
		"no data is no data":   `{{template "nothing"}}`,
	}
}

var partials = []string{
	`{{define "pair"}}{{.Key}}: {{.Value}}{{end}}`,
	`{{define "fixed"}}<hr>{{end}}`,
	`{{define "nothing"}}{{if .}}something{{else}}nothing{{end}}{{end}}`,
	`{{define "down"}}{{if .}}<i>{{template "down" false}}</i>{{end}}{{end}}`,
}

// both renders a page compiled, if its template can be compiled, and with
// html/template. A page that cannot be rendered is "".
func both(set *view.Set, page sample) (compiled, interpreted string) {
	var first, second bytes.Buffer
	_ = set.Render(&first, "page", view.Data{Layout: layout{"Sample"}, Page: page})
	_ = set.Render(&second, "page", view.Data{Layout: layout{"Sample"}, Page: &page})
	return first.String(), second.String()
}

func TestACompiledTemplateWritesWhatHTMLTemplateWrites(t *testing.T) {
	for name, source := range templates() {
		t.Run(name, func(t *testing.T) {
			set, err := parse(source, partials...)
			require.NoError(t, err)
			if got, _ := both(set, full()); got == "" {
				t.Error("the full page cannot be rendered")
			}
			for _, page := range []sample{full(), {}, {Table: map[string]string{}, Any: ""}, {Kind: "a", Any: pair{}, Far: &pair{}}} {
				if got, want := both(set, page); got != want {
					t.Errorf("compiled:\n%s\nby html/template:\n%s", got, want)
				}
			}
		})
	}
}

// allocations returns how many allocations a rendering makes: a few if the template is
// compiled, dozens if it is interpreted.
func allocations(t *testing.T, set *view.Set, page any) float64 {
	data := view.Data{Layout: layout{"Sample"}, Page: page}
	var out bytes.Buffer
	return testing.AllocsPerRun(50, func() {
		out.Reset()
		require.NoError(t, set.Render(&out, "page", data))
	})
}

func TestWhatTheCompilerKnowsIsCompiled(t *testing.T) {
	for _, name := range []string{
		"text field", "attribute", "raw text", "if string", "if bool", "if int", "if slice", "if struct", "eq", "with string",
		"with struct", "whole page", "range strings", "range structs", "range else", "nested field", "template", "template in a loop",
	} {
		set, err := parse(strings.Repeat(templates()[name], 20), partials...)
		require.NoError(t, err)
		page := full()
		if compiled, interpreted := allocations(t, set, page), allocations(t, set, &page); compiled > 8 || interpreted <= 8 {
			t.Errorf("%s: %.0f allocations, by html/template %.0f, want at most 8 and more", name, compiled, interpreted)
		}
	}
}

func TestAPageOfAnotherTypeIsLeftToHTMLTemplate(t *testing.T) {
	set, err := parse(`<p>{{.Page.Name}}</p>`)
	require.NoError(t, err)
	for _, page := range []any{struct{ Name string }{"Ada"}, struct{ Age, Name string }{"36", "Ada"}, map[string]string{"Name": "Ada"}} {
		if got := render(t, set, page); !strings.Contains(got, "<p>Ada</p>") {
			t.Errorf("%T is rendered as %s", page, got)
		}
	}
}

// FuzzCompiledEscaping compares the escaper of compiled templates with that of
// html/template, in the three places where the compiler supports a field.
func FuzzCompiledEscaping(f *testing.F) {
	set, err := parse(`<p title="{{.Page.Name}}" class='{{.Page.Kind}}'>{{.Page.Name}}</p><textarea>{{.Page.Kind}}</textarea>`)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"", "Ada", `<b>"&'+</b>`, "\x00", "&amp;&#34;", "</textarea><script>", "\xff\xfe<", "\ufdd0\ufff0\uffff", "\U0010ffff", "\u2028`{{.}}`\r\n\t",
		"javascript:alert(1)", strings.Repeat("é<", 300),
	} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, name, kind string) {
		if got, want := both(set, sample{Name: name, Kind: kind}); got != want {
			t.Errorf("compiled:\n%q\nby html/template:\n%q", got, want)
		}
	})
}
