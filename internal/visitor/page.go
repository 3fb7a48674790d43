package visitor

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"

	"github.com/PuerkitoBio/goquery"
)

// document returns the parsed page. A body that is not HTML has no elements.
func (a Answer) document() *goquery.Document {
	page, err := goquery.NewDocumentFromReader(bytes.NewReader(a.Body))
	if err != nil {
		return &goquery.Document{Selection: &goquery.Selection{}}
	}
	return page
}

// Form returns the fields of the page's form for action, as a browser sends them if the
// user changes nothing.
func (a Answer) Form(action string) (url.Values, error) {
	form := a.document().Find("form").FilterFunction(func(_ int, form *goquery.Selection) bool {
		return form.AttrOr("action", "") == action && strings.EqualFold(form.AttrOr("method", ""), "post")
	}).First()
	if form.Length() == 0 {
		return nil, fmt.Errorf("%s, %q: no form is posted to %s", a.Status, a.Heading(), action)
	}
	values := url.Values{}
	for _, field := range form.Find("textarea[name]").EachIter() {
		values.Add(field.AttrOr("name", ""), field.Text())
	}
	for _, field := range form.Find("input[name]:not([type=checkbox]), input[name][checked]").EachIter() {
		values.Add(field.AttrOr("name", ""), field.AttrOr("value", ""))
	}
	return values, nil
}

// Heading returns the text of the first h1, or "".
func (a Answer) Heading() string { return strings.TrimSpace(a.document().Find("h1").First().Text()) }
