package view_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/fstest"

	"holdfast/internal/dev/require"
	"holdfast/internal/view"
)

// parse returns a Set with one page, "page", from the text of its template and the
// texts of partials.
func parse(page string, partials ...string) (*view.Set, error) {
	files := fstest.MapFS{
		"layouts/base.html": {Data: []byte(`<!doctype html><title>{{.Layout.Title}}</title>{{block "main" .}}{{end}}`)},
		"pages/page.html":   {Data: []byte(`{{define "main"}}` + page + `{{end}}`)},
	}
	if len(partials) > 0 {
		files["partials/all.html"] = &fstest.MapFile{Data: []byte(strings.Join(partials, "\n"))}
	}
	return view.Parse(func(name string) (string, bool) {
		return "/static/0123-" + name, name == "site.css"
	}, files)
}

type layout struct{ Title string }

func render(t testing.TB, set *view.Set, page any) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, set.Render(&out, "page", view.Data{Layout: layout{"Sample"}, Page: page}))
	return out.String()
}

func TestABrokenTemplateIsNamedWhenItIsParsed(t *testing.T) {
	for fault, source := range map[string]string{
		"does not parse":        `{{if}}`,
		"cannot be escaped":     `<a href="{{if .Page}}'{{else}}"{{end}}>`,
		"asks for no asset":     `{{asset "none.css"}}`,
		"calls what is unknown": `{{shout .Page}}`,
		"includes what is gone": `{{template "gone"}}`,
	} {
		if _, err := parse(source); err == nil || !strings.Contains(err.Error(), "page") {
			t.Errorf("a template that %s: error %v, want one that names it", fault, err)
		}
	}
	_, err := view.Parse(nil, fstest.MapFS{"pages/page.html": {Data: []byte("x")}})
	if err == nil || !strings.Contains(err.Error(), "base.html") {
		t.Errorf("without a layout: error %v, want one that names it", err)
	}
}

func TestAnAssetIsNamedByItsAddress(t *testing.T) {
	set, err := parse(`<link href="{{ asset "site.css" }}">`)
	require.NoError(t, err)
	if got := render(t, set, struct{}{}); !strings.Contains(got, `<link href="/static/0123-site.css">`) {
		t.Errorf("the address is not in %s", got)
	}
}

func TestAPageThatFailsWritesNothing(t *testing.T) {
	set, err := parse(`<p>{{.Page.Name}}</p>`)
	require.NoError(t, err)
	for name, data := range map[string]view.Data{
		"none": {Layout: layout{}, Page: struct{ Name string }{"Ada"}},
		"page": {Layout: layout{}, Page: struct{}{}},
	} {
		var out bytes.Buffer
		if err := set.Render(&out, name, data); err == nil || !strings.Contains(err.Error(), name) || out.Len() > 0 {
			t.Errorf("page %q: error %v, %d bytes written", name, err, out.Len())
		}
	}
}
