package visitor

import (
	"bytes"
	"fmt"
	"iter"
	"net/url"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Form returns the fields of the answer's form that is posted to action, as a
// browser sends them when nobody has changed any.
func (a Answer) Form(action string) (url.Values, error) {
	for form := range a.elements(atom.Form) {
		if attribute(form, "action") == action && strings.EqualFold(attribute(form, "method"), "post") {
			return fields(form), nil
		}
	}
	return nil, fmt.Errorf("%s, %q: no form is posted to %s", a.Status, a.Heading(), action)
}

// Heading is the text of the first h1, "" for none.
func (a Answer) Heading() string {
	for heading := range a.elements(atom.H1) {
		return text(heading)
	}
	return ""
}

// elements yields the elements of one kind. What is no HTML has none.
func (a Answer) elements(kind atom.Atom) iter.Seq[*html.Node] {
	return func(yield func(*html.Node) bool) {
		document, err := html.Parse(bytes.NewReader(a.Body))
		if err != nil {
			return
		}
		for node := range document.Descendants() {
			if node.DataAtom == kind && !yield(node) {
				return
			}
		}
	}
}

func fields(form *html.Node) url.Values {
	values := url.Values{}
	for field := range form.Descendants() {
		name := attribute(field, "name")
		switch {
		case name == "":
		case field.DataAtom == atom.Textarea:
			values.Add(name, text(field))
		case field.DataAtom == atom.Input && attribute(field, "type") != "checkbox":
			values.Add(name, attribute(field, "value"))
		case field.DataAtom == atom.Input && has(field, "checked"):
			values.Add(name, attribute(field, "value"))
		}
	}
	return values
}

func text(node *html.Node) string {
	var all strings.Builder
	for part := range node.Descendants() {
		if part.Type == html.TextNode {
			all.WriteString(part.Data)
		}
	}
	return strings.TrimSpace(all.String())
}

func attribute(node *html.Node, name string) string {
	for _, attr := range node.Attr {
		if attr.Key == name {
			return attr.Val
		}
	}
	return ""
}

func has(node *html.Node, name string) bool {
	for _, attr := range node.Attr {
		if attr.Key == name {
			return true
		}
	}
	return false
}
