// Package view renders HTML pages from templates. It owns how template files are read,
// parsed, escaped and executed: one layout, the partials that pages share, and one file
// per page. It must not know what a page is about, or anything about HTTP: its callers
// pass the files, the addresses of static files and, for each rendering, the structs
// that the template reads.
package view

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
	"reflect"
	"regexp"
	"strings"
	"sync"
)

// Data is what a template reads: {{.Layout.Title}}, {{.Page.Name}}.
type Data struct {
	Layout any // what surrounds every page
	Page   any // the page's own struct
}

// Set holds all pages, parsed and escaped. It is safe for concurrent use.
type Set struct {
	pages map[string]*page
	pool  sync.Pool // of *rendering
}

// rendering is the working memory of one call of Render, kept for the next.
type rendering struct {
	data Data // here, because reflect would otherwise move it to the heap each time
	out  bytes.Buffer
}

// page is one of pages/*.html inside the layout.
type page struct {
	template *template.Template

	// compiled writes what template writes, for Data with structs of these two types.
	// It is created at the first rendering, which provides the types, and stays nil if
	// the compiler does not support all of the template.
	once     sync.Once
	types    dataTypes
	compiled code
}

type dataTypes struct{ layout, page reflect.Type }

// Parse reads layouts/base.html of the first of templates, and partials/*.html of all of
// them in their order, so a later partial replaces an earlier one, together with each of
// their pages/*.html. assetURL returns the address of a static file, or false if it does
// not exist; {{asset "css/site.css"}} in a template is replaced by that address. A
// file that does not parse, cannot be escaped safely or names a missing static file
// is an error.
func Parse(assetURL func(name string) (string, bool), templates ...fs.FS) (*Set, error) {
	sources := sourceReader{
		assetURL:      assetURL,
		assetCall:     regexp.MustCompile(`\{\{-?\s*asset\s+"([^"]*)"\s*-?\}\}`),
		indentation:   regexp.MustCompile(`\n\s+`),
		betweenBlocks: regexp.MustCompile(`>\n(</?(?:div|dl|section|nav|main|header|footer|meta|link|title|head|body|svg|g|rect|path|circle|text|use|foreignObject)\b)`),
	}
	base := template.New("base")
	if err := sources.parseInto(base, templates[0], "layouts/base.html"); err != nil {
		return nil, err
	}
	for _, files := range templates {
		shared, err := fs.Glob(files, "partials/*.html")
		if err != nil {
			return nil, fmt.Errorf("list partials: %w", err)
		}
		for _, file := range shared {
			if err := sources.parseInto(base, files, file); err != nil {
				return nil, err
			}
		}
	}
	s := &Set{pages: map[string]*page{}}
	s.pool.New = func() any { return new(rendering) }
	for _, files := range templates {
		pages, err := fs.Glob(files, "pages/*.html")
		if err != nil {
			return nil, fmt.Errorf("list pages: %w", err)
		}
		for _, file := range pages {
			t, err := base.Clone()
			if err != nil {
				return nil, fmt.Errorf("clone layout for %s: %w", file, err)
			}
			if err := sources.parseInto(t, files, file); err != nil {
				return nil, err
			}
			if err := escape(t); err != nil {
				return nil, fmt.Errorf("escape %s: %w", file, err)
			}
			s.pages[strings.TrimSuffix(path.Base(file), ".html")] = &page{template: t}
		}
	}
	return s, nil
}

// Render writes pages/<name>.html, inside the layout, to w in one Write; if there
// is an error, it writes nothing. It uses the compiled form of a page if there is
// one, and html/template otherwise, with the same output. Data that contains
// pointers to structs is always rendered by html/template.
func (s *Set) Render(w io.Writer, name string, data Data) error {
	p, ok := s.pages[name]
	if !ok {
		return fmt.Errorf("render page %q: no such template", name)
	}
	r := s.pool.Get().(*rendering)
	defer func() {
		r.data = Data{}
		r.out.Reset()
		s.pool.Put(r)
	}()
	r.data = data
	if err := p.render(r); err != nil {
		return fmt.Errorf("render page %q: %w", name, err)
	}
	_, err := w.Write(r.out.Bytes())
	return err
}

func (p *page) render(r *rendering) error {
	if r.data.Layout == nil || r.data.Page == nil {
		return p.template.Execute(&r.out, r.data)
	}
	types := dataTypes{reflect.TypeOf(r.data.Layout), reflect.TypeOf(r.data.Page)}
	p.once.Do(func() {
		p.types = types
		p.compiled, _ = compile(p.template, types)
	})
	if p.compiled == nil || p.types != types {
		return p.template.Execute(&r.out, r.data)
	}
	p.compiled.run(&r.out, reflect.ValueOf(&r.data).Elem())
	return nil
}

// escape makes html/template do its contextual escaping now. Otherwise it happens,
// or fails, at the first request. Data without structs stops the execution early;
// only a failure to escape counts.
func escape(t *template.Template) error {
	var unsafe *template.Error
	if err := t.Execute(io.Discard, Data{}); errors.As(err, &unsafe) {
		return err
	}
	return nil
}

// sourceReader reads template files and resolves in their text what is the same for
// every request.
type sourceReader struct {
	assetURL  func(string) (string, bool)
	assetCall *regexp.Regexp
	// indentation is removed from the pages. No template has text inside a <pre> or
	// <textarea>, where it would be visible.
	indentation *regexp.Regexp
	// betweenBlocks matches line breaks before elements that begin a new line anyway,
	// or are not shown.
	betweenBlocks *regexp.Regexp
}

// parseInto adds one of the files to the template set t. Asset names are replaced by
// addresses here, once, instead of by a function call in every rendering.
func (s sourceReader) parseInto(t *template.Template, files fs.FS, file string) error {
	source, err := fs.ReadFile(files, file)
	if err != nil {
		return fmt.Errorf("read template: %w", err)
	}
	source = s.indentation.ReplaceAll(source, []byte("\n"))
	source = s.betweenBlocks.ReplaceAll(source, []byte(">$1"))
	var missing error
	source = s.assetCall.ReplaceAllFunc(source, func(call []byte) []byte {
		name := string(s.assetCall.FindSubmatch(call)[1])
		url, ok := s.assetURL(name)
		if !ok {
			missing = fmt.Errorf("parse %s: no asset %q", file, name)
		}
		return []byte(url)
	})
	if missing != nil {
		return missing
	}
	if _, err := t.Parse(string(bytes.TrimSpace(source))); err != nil {
		return fmt.Errorf("parse %s: %w", file, err)
	}
	return nil
}
