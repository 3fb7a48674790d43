package restartcheck

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// readForm returns the fields of the form in page that is posted to action,
// with the values they have.
func readForm(page, action string) (url.Values, error) {
	document, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return nil, err
	}
	for form := range document.Descendants() {
		if form.DataAtom != atom.Form || attribute(form, "action") != action ||
			!strings.EqualFold(attribute(form, "method"), "post") {
			continue
		}
		fields := url.Values{}
		for input := range form.Descendants() {
			if input.DataAtom != atom.Input || attribute(input, "name") == "" || attribute(input, "type") == "checkbox" {
				continue // no box on these forms is ticked from the start
			}
			fields.Add(attribute(input, "name"), attribute(input, "value"))
		}
		return fields, nil
	}
	return nil, fmt.Errorf("the page has no form that is posted to %s", action)
}

// readHeading returns the text of the page's first h1.
func readHeading(page string) (string, error) {
	document, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return "", err
	}
	for heading := range document.Descendants() {
		if heading.DataAtom != atom.H1 {
			continue
		}
		var text strings.Builder
		for part := range heading.Descendants() {
			if part.Type == html.TextNode {
				text.WriteString(part.Data)
			}
		}
		return strings.TrimSpace(text.String()), nil
	}
	return "", errors.New("the page has no heading")
}

func attribute(node *html.Node, name string) string {
	for _, attr := range node.Attr {
		if attr.Key == name {
			return attr.Val
		}
	}
	return ""
}
