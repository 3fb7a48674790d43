package mail

import (
	"fmt"
	htmltemplate "html/template"
	"net/url"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode/utf8"

	"holdfast/internal/account"
	"holdfast/templates"
)

// loadTemplates parses the templates of all emails and tries them. Each kind has one
// file of paragraphs. Text and HTML are both generated from it, so that they never
// differ: the first line is the subject, a paragraph that begins with "> " is the label
// of the link, and lines that begin with "- " are a list.
func (p *Mailer) loadTemplates() (err error) {
	if p.html, err = htmltemplate.ParseFS(templates.FS, "mail/layout.html"); err != nil {
		return err
	}
	if p.text, err = texttemplate.ParseFS(templates.FS, "mail/*.txt"); err != nil {
		return err
	}
	for _, kind := range account.EmailKinds() {
		if _, err := p.write(account.OutgoingEmail{Kind: kind}); err != nil {
			return err
		}
	}
	return nil
}

// facts is the data for the templates.
type facts struct {
	account.EmailData
	To, Browser, When      string
	Site, Forgot, Password string // URLs on this site
	LinkLife               string
	Former                 bool
}

// paragraph is one paragraph of an email, for the HTML.
type paragraph struct {
	Text  string
	Items []string
	Link  string // where Text links to
}

// write writes an email.
func (p *Mailer) write(m account.OutgoingEmail) (Message, error) {
	kind := p.text.Lookup(string(m.Kind) + ".txt")
	if kind == nil {
		return Message{}, fmt.Errorf("write email: unknown kind %q", m.Kind)
	}
	var out strings.Builder
	err := kind.Execute(&out, facts{
		EmailData: m.Data, To: m.To, Former: m.Former,
		Browser: p.Browser(m.Data.Agent), When: m.Data.At.UTC().Format("2 January 2006, 15:04 UTC"),
		Site: p.BaseURL, Forgot: p.BaseURL + "/forgot", Password: p.BaseURL + "/account/password",
		LinkLife: lifeWords(m.Kind.LinkOf().Life()),
	})
	if err != nil {
		return Message{}, fmt.Errorf("write email: %w", err)
	}
	subject, body, _ := strings.Cut(strings.TrimSpace(out.String()), "\n")
	link := p.link(m)
	var paragraphs []paragraph
	var text []string
	for source := range strings.SplitSeq(strings.TrimSpace(body), "\n\n") {
		part := paragraphOf(strings.TrimSpace(source), link)
		paragraphs = append(paragraphs, part)
		text = append(text, part.plain())
	}
	var html strings.Builder
	if err := p.html.Execute(&html, struct {
		Subject    string
		Paragraphs []paragraph
	}{subject, paragraphs}); err != nil {
		return Message{}, fmt.Errorf("write email: %w", err)
	}
	return Message{
		To: m.To, Subject: subject, Text: strings.Join(text, "\n\n") + "\n", HTML: html.String(), ListedAs: string(m.Kind),
	}, nil
}

func paragraphOf(part, link string) paragraph {
	if label, ok := strings.CutPrefix(part, "> "); ok {
		return paragraph{Text: label, Link: link}
	}
	if !strings.HasPrefix(part, "- ") {
		return paragraph{Text: strings.Join(strings.Fields(part), " ")}
	}
	var items []string
	for line := range strings.Lines(part) {
		items = append(items, strings.TrimPrefix(strings.TrimSpace(line), "- "))
	}
	return paragraph{Items: items}
}

func (p paragraph) plain() string {
	switch {
	case p.Link != "":
		return p.Text + ":\n" + p.Link
	case len(p.Items) > 0:
		return "- " + strings.Join(p.Items, "\n- ")
	default:
		return wrapped(p.Text)
	}
}

// lineRunes is the maximum length of a line of text (RFC 5322, section 2.1.1).
const lineRunes = 76

func wrapped(text string) string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		longer := strings.TrimSpace(line + " " + word)
		if line != "" && utf8.RuneCountInString(longer) > lineRunes {
			lines = append(lines, line)
			longer = word
		}
		line = longer
	}
	return strings.Join(append(lines, line), "\n")
}

// link returns the URL in an email. Its host is always that of BASE_URL, never one from
// a request.
func (p *Mailer) link(m account.OutgoingEmail) string {
	path := "/verify"
	if m.Kind.LinkOf() == account.PurposeReset {
		path = "/reset"
	}
	return p.BaseURL + path + "?token=" + url.QueryEscape(m.Token)
}

func lifeWords(life time.Duration) string {
	switch {
	case life == time.Hour:
		return "one hour"
	case life%(24*time.Hour) == 0 && life > 24*time.Hour:
		return fmt.Sprintf("%d days", life/(24*time.Hour))
	default:
		return fmt.Sprintf("%d hours", life/time.Hour)
	}
}
