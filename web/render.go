package web

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

// layout is what every page shows around its own content. One place fills it.
type layout struct {
	Title   string   // the whole text of <title>: "Profile · Holdfast"
	Path    string   // the request's path: the link to it is marked as the current page
	Member  string   // the person's name; "" for a guest
	Notices []string // what has just happened, shown once under the header
	Neutral bool     // an error page: who is asking is not known
	Learn   bool     // whether /explain and /lab are there to link to

	// The footer; what is "" is left out.
	Version, Instance, Store string
}

// view is what a template is given: the layout, and the struct of the page that is shown.
type view struct {
	Layout layout
	Page   any
}

// renderer holds every page, parsed and escaped, ready to be filled by any
// number of requests at once.
type renderer struct {
	pages   map[string]*sheet
	buffers sync.Pool // of *bytes.Buffer
}

// sheet is one of pages/*.html inside the layout.
type sheet struct {
	template *template.Template
	// program does the same faster, for views that hold a page of type shape. It
	// is made for the first view; where it cannot be, it is nil.
	once    sync.Once
	shape   reflect.Type
	program program
}

// newRenderer parses layouts/base.html and partials/*.html together with each
// of pages/*.html. A file that does not parse, cannot be escaped safely or
// names an asset that does not exist is an error, so that a broken template
// stops the program at its start and not a person at their page.
func newRenderer(templates fs.FS, assets *assets) (*renderer, error) {
	sources := sourceReader{
		files:       templates,
		assets:      assets,
		assetCall:   regexp.MustCompile(`\{\{-?\s*asset\s+"([^"]*)"\s*-?\}\}`),
		indentation: regexp.MustCompile(`\n\s+`),
	}
	base := template.New("base")
	shared, err := fs.Glob(templates, "partials/*.html")
	if err != nil {
		return nil, fmt.Errorf("list partials: %w", err)
	}
	for _, file := range append([]string{"layouts/base.html"}, shared...) {
		if err := sources.parseInto(base, file); err != nil {
			return nil, err
		}
	}

	files, err := fs.Glob(templates, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("list pages: %w", err)
	}
	r := &renderer{pages: make(map[string]*sheet, len(files))}
	r.buffers.New = func() any { return new(bytes.Buffer) }
	for _, file := range files {
		t, err := base.Clone()
		if err != nil {
			return nil, fmt.Errorf("clone layout for %s: %w", file, err)
		}
		if err := sources.parseInto(t, file); err != nil {
			return nil, err
		}
		if err := escape(t); err != nil {
			return nil, fmt.Errorf("escape %s: %w", file, err)
		}
		r.pages[strings.TrimSuffix(path.Base(file), ".html")] = &sheet{template: t}
	}
	return r, nil
}

// render writes pages/<name>.html, inside the layout, to w, in one piece or, on
// an error, not at all.
func (r *renderer) render(w io.Writer, name string, v view) error {
	p, ok := r.pages[name]
	if !ok {
		return fmt.Errorf("render page %q: no such template", name)
	}
	out := r.buffers.Get().(*bytes.Buffer)
	defer r.buffers.Put(out)
	out.Reset()
	if err := p.fill(out, v); err != nil {
		return fmt.Errorf("render page %q: %w", name, err)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// fill runs the page's program, if it has one for this type of page, or else
// its template.
func (p *sheet) fill(out *bytes.Buffer, v view) error {
	shape := reflect.TypeOf(v.Page)
	if shape == nil {
		return p.template.Execute(out, v)
	}
	p.once.Do(func() {
		p.shape = shape
		p.program, _ = translate(p.template, shape)
	})
	if p.program == nil || p.shape != shape {
		return p.template.Execute(out, v)
	}
	p.program.run(out, reflect.ValueOf(v))
	return nil
}

// escape makes html/template do its contextual escaping now, which it otherwise
// does, or fails to do, at the first request. The empty view lacks the page's
// fields, so execution may stop early; only a failure to escape counts.
func escape(t *template.Template) error {
	var unsafe *template.Error
	if err := t.Execute(io.Discard, view{}); errors.As(err, &unsafe) {
		return err
	}
	return nil
}

// sourceReader reads template files and settles in their text what is the same
// for every request.
type sourceReader struct {
	files  fs.FS
	assets *assets
	// assetCall is {{asset "css/site.css"}}: it looks like a function and is a
	// constant.
	assetCall *regexp.Regexp
	// indentation is for people who read the sources, and stays there. No
	// template has a <pre> or <textarea> with text of its own.
	indentation *regexp.Regexp
}

// parseInto adds one file to the set t. Asset names become addresses here, once,
// instead of by a function call in every rendering of every page.
func (s sourceReader) parseInto(t *template.Template, file string) error {
	source, err := fs.ReadFile(s.files, file)
	if err != nil {
		return fmt.Errorf("read template: %w", err)
	}
	source = s.indentation.ReplaceAll(source, []byte("\n"))
	var missing error
	source = s.assetCall.ReplaceAllFunc(source, func(call []byte) []byte {
		name := string(s.assetCall.FindSubmatch(call)[1])
		url, ok := s.assets.url(name)
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
