package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/PuerkitoBio/goquery"
)

// measurePages counts what a browser with an empty cache has to load.
func measurePages(ctx context.Context, l *lab) (section, error) {
	run, err := l.launch(ctx, l.binary, nil, serverSettings(l.redis.URL)...)
	if err != nil {
		return section{}, err
	}
	guest, err := newVisitor(run.url)
	if err != nil {
		return section{}, err
	}
	member, err := newVisitor(run.url)
	if err != nil {
		return section{}, err
	}
	if err := member.register(ctx); err != nil {
		return section{}, err
	}
	sizes := table{head: []string{"page", "requests", "bytes, headers included", "the page itself"}}
	for _, view := range []struct {
		path string
		who  *visitor
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
func firstLoad(ctx context.Context, v *visitor, path string) (page, rest, requests int, err error) {
	browser := http.Header{"Accept-Encoding": {"gzip, deflate, br, zstd"}}
	// Read plainly first: a compressed page names nothing.
	body, _, err := v.get(ctx, path, nil)
	if err != nil {
		return 0, 0, 0, err
	}
	_, wire, err := v.get(ctx, path, browser)
	if err != nil {
		return 0, 0, 0, err
	}
	document, err := goquery.NewDocumentFromReader(bytes.NewReader(body))
	if err != nil {
		return 0, 0, 0, err
	}
	var named []string
	document.Find(`link[rel=stylesheet], link[rel=icon]:not([href^="data:"]), script[src], img[src]`).Each(func(_ int, tag *goquery.Selection) {
		named = append(named, tag.AttrOr("href", tag.AttrOr("src", "")))
	})
	for _, path := range named {
		_, wire, err := v.get(ctx, path, browser)
		if err != nil {
			return 0, 0, 0, err
		}
		rest += len(wire)
	}
	return len(wire), rest, 1 + len(named), nil
}
