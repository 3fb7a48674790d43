package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// hold checks what must be true of every response (OWASP ASVS 5.0.0, chapters 3.2 to
// 3.5; 14.2.1).
func (a *answer) hold(w *world) {
	a.t.Helper()
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self' data:; manifest-src 'self'; connect-src 'self'; " +
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              referrerPolicy(a.request.URL.Path),
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := a.header.Values(name); len(got) != 1 || got[0] != want {
			a.fault("header %s is %q, want %q", name, got, want)
		}
	}
	if a.header.Get("Permissions-Policy") == "" {
		a.fault("no Permissions-Policy")
	}
	if hsts := a.header.Get("Strict-Transport-Security"); (hsts != "") != w.options.https {
		a.fault("Strict-Transport-Security is %q", hsts)
	}
	if got := a.header.Values("Cache-Control"); len(got) > 1 {
		a.fault("%d Cache-Control lines: %q", len(got), got)
	}
	if len(a.cookies) > 0 && a.header.Get("Cache-Control") != "no-store" {
		a.fault("a cookie is set on an answer that may be kept: %q", a.header.Get("Cache-Control"))
	}
	for name := range a.header {
		if strings.HasPrefix(name, "Access-Control-") || name == "Server" || name == "X-Powered-By" {
			a.fault("header %s: %q", name, a.header[name])
		}
	}
	kind := a.header.Get("Content-Type")
	if len(a.body) > 0 && !strings.HasSuffix(kind, "; charset=utf-8") && !strings.HasSuffix(kind, "; charset=UTF-8") &&
		!slices.Contains([]string{"application/json", "application/manifest+json", "image/x-icon", "image/png", "image/svg+xml", "font/woff2"}, kind) {
		a.fault("Content-Type %q", kind)
	}
	if a.request.URL.RawQuery == "" { // values from the URL may come back
		w.secrets.notIn(a.t, "the page "+a.request.URL.Path, string(a.body)+a.header.Get("Location"))
	}
	if strings.HasPrefix(kind, "text/html") && a.request.Method != http.MethodHead {
		if _, seen := w.held.LoadOrStore(string(a.body), true); !seen {
			a.holdPage()
		}
	}
}

// holdPage checks what must be true of every page: nothing a person typed has become
// markup, and every URL in it is one of this site.
func (a *answer) holdPage() {
	a.t.Helper()
	doc := a.doc()
	for selector, want := range map[string]int{"h1": 1, "body > header": 1, "main": 1, "html[lang=en]": 1, "base, style, iframe, object, embed": 0} {
		a.wantCount(selector, want)
	}
	for _, script := range doc.Find("script").EachIter() {
		if !strings.HasPrefix(script.AttrOr("src", ""), "/static/") || script.Text() != "" {
			a.fault("script %q with text %q", script.AttrOr("src", ""), script.Text())
		}
	}
	for _, element := range doc.Find("*").Nodes {
		for _, attribute := range element.Attr {
			a.holdAttribute(element.Data, attribute)
		}
	}
}

func (a *answer) holdAttribute(element string, attribute html.Attribute) {
	a.t.Helper()
	switch {
	case strings.HasPrefix(attribute.Key, "on"), attribute.Key == "style", attribute.Key == "srcdoc":
		a.fault("<%s %s=%q>", element, attribute.Key, attribute.Val)
	case attribute.Key == "href", attribute.Key == "src", attribute.Key == "action", attribute.Key == "formaction":
		target, err := url.Parse(attribute.Val)
		local := strings.HasPrefix(attribute.Val, "/") && !strings.HasPrefix(attribute.Val, "//")
		if element == "link" && strings.HasPrefix(attribute.Val, "data:image/svg+xml,") {
			return // the icon, inlined in the page
		}
		if err != nil || target.Host != "" || !local && !strings.HasPrefix(attribute.Val, "#") {
			a.fault("<%s %s=%q>", element, attribute.Key, attribute.Val)
		}
	}
}

func (a *answer) fault(format string, args ...any) {
	a.t.Helper()
	a.t.Errorf("%s %s, status %d: "+format, append([]any{a.request.Method, a.request.URL, a.status}, args...)...)
}

// referrerPolicy returns the expected Referrer-Policy: one without a path if the URL
// contains an emailed link.
func referrerPolicy(path string) string {
	if path == "/reset" || path == "/verify" {
		return "strict-origin"
	}
	return "same-origin"
}
