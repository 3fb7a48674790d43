package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/learn/visitor"
)

// measurePages counts what a browser with an empty cache has to load.
func measurePages(ctx context.Context, l *lab) (section, error) {
	run, err := l.launch(ctx, l.binary, serveArgs(), serverSettings(l.redis.URL)...)
	if err != nil {
		return section{}, err
	}
	guest := visitor.New(run.URL())
	member := guest.Stranger()
	if err := member.Register(ctx, ada()); err != nil {
		return section{}, err
	}
	sizes := table{head: []string{"page", "requests", "bytes, headers included", "the page itself"}}
	for _, view := range []struct {
		path string
		who  *visitor.Visitor
	}{{"/", guest}, {"/login", guest}, {"/profile", member}} {
		page, rest, requests, err := firstLoad(ctx, view.who, view.path)
		if err != nil {
			return section{}, err
		}
		sizes.row("`"+view.path+"`", fmt.Sprint(requests), fmt.Sprintf("**%d**", page+rest), fmt.Sprint(page))
	}
	return section{
		title:  "First load",
		text:   "What a browser that has nothing yet fetches for one page: the page, its style sheet, script and icon, as they travel to a browser that takes gzip.",
		tables: []table{sizes},
	}, nil
}

// firstLoad returns the bytes of the page, those of all it names, and the
// number of requests.
func firstLoad(ctx context.Context, v *visitor.Visitor, path string) (page, rest, requests int, err error) {
	// Read plainly first: a compressed page names nothing.
	plain, err := v.Get(ctx, path)
	if err != nil {
		return 0, 0, 0, err
	}
	if page, err = sizeOf(ctx, v, path); err != nil {
		return 0, 0, 0, err
	}
	document, err := goquery.NewDocumentFromReader(bytes.NewReader(plain.Body))
	if err != nil {
		return 0, 0, 0, err
	}
	var named []string
	document.Find(`link[rel=stylesheet], link[rel=icon]:not([href^="data:"]), script[src], img[src]`).Each(func(_ int, tag *goquery.Selection) {
		named = append(named, tag.AttrOr("href", tag.AttrOr("src", "")))
	})
	for _, path := range named {
		size, err := sizeOf(ctx, v, path)
		if err != nil {
			return 0, 0, 0, err
		}
		rest += size
	}
	return page, rest, 1 + len(named), nil
}

// sizeOf is how many bytes travel to a browser for an address, headers included.
func sizeOf(ctx context.Context, v *visitor.Visitor, path string) (int, error) {
	got, err := v.Do(ctx, visitor.Request{Method: http.MethodGet, Path: path, Header: http.Header{"Accept-Encoding": {"gzip, deflate, br, zstd"}}})
	if err == nil && got.Code != http.StatusOK {
		err = fmt.Errorf("get %s: %s", path, got.Status)
	}
	if err != nil {
		return 0, err
	}
	travelled, err := wire(got)
	return len(travelled), err
}
