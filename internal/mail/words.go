package mail

import (
	"bytes"
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

// words holds the parsed templates of all emails. Each kind has one file of paragraphs.
// Text and HTML are both generated from it, so that they never differ: the first line
// is the subject, a paragraph that begins with "> " is the label of the link, and lines
// that begin with "- " are a list.
type words struct {
	base    string
	browser func(string) string
	kinds   map[account.EmailKind]*texttemplate.Template
	html    *htmltemplate.Template
}

func newWords(base string, browser func(string) string) (*words, error) {
	w := &words{base: base, browser: browser, kinds: map[account.EmailKind]*texttemplate.Template{}}
	for _, kind := range account.EmailKinds() {
		parsed, err := texttemplate.New(string(kind)+".txt").Option("missingkey=error").ParseFS(templates.FS, "mail/"+string(kind)+".txt")
		if err != nil {
			return nil, err
		}
		w.kinds[kind] = parsed
		if _, err := w.write(account.OutgoingEmail{Kind: kind, Purpose: kind.LinkOf()}); err != nil {
			return nil, err
		}
	}
	var err error
	w.html, err = htmltemplate.ParseFS(templates.FS, "mail/layout.html")
	return w, err
}

// facts is the data for the templates.
type facts struct {
	Name, To, Email        string
	Browser, Address, When string
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
func (w *words) write(m account.OutgoingEmail) (Message, error) {
	kind, ok := w.kinds[m.Kind]
	if !ok {
		return Message{}, fmt.Errorf("write email: unknown kind %q", m.Kind)
	}
	var out bytes.Buffer
	err := kind.Execute(&out, facts{
		Name: m.Data.Name, To: m.To, Email: m.Data.Email,
		Browser: w.browser(m.Data.Agent), Address: m.Data.Address,
		When: m.Data.At.UTC().Format("2 January 2006, 15:04 UTC"),
		Site: w.base, Forgot: w.base + "/forgot", Password: w.base + "/account/password",
		LinkLife: lifeWords(m.Purpose.Life()), Former: m.Former,
	})
	if err != nil {
		return Message{}, fmt.Errorf("write email: %w", err)
	}
	subject, body, _ := strings.Cut(strings.TrimSpace(out.String()), "\n")
	message := Message{To: m.To, Subject: subject, ListedAs: string(m.Kind)}
	link := w.link(m)
	var paragraphs []paragraph
	var text []string
	for part := range strings.SplitSeq(strings.TrimSpace(body), "\n\n") {
		p := paragraphOf(strings.TrimSpace(part), link)
		paragraphs = append(paragraphs, p)
		text = append(text, p.plain())
	}
	message.Text = strings.Join(text, "\n\n") + "\n"
	if w.html == nil {
		return message, nil // the templates are still being checked
	}
	var html bytes.Buffer
	if err := w.html.Execute(&html, struct {
		Subject    string
		Paragraphs []paragraph
	}{subject, paragraphs}); err != nil {
		return Message{}, fmt.Errorf("write email: %w", err)
	}
	message.HTML = html.String()
	return message, nil
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
	var out strings.Builder
	length := 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case length > 0 && length+1+n > lineRunes:
			word, length = "\n"+word, 0
		case length > 0:
			word, length = " "+word, length+1
		}
		out.WriteString(word)
		length += n
	}
	return out.String()
}

// link returns the URL in an email. Its host is always that of BASE_URL, never one from
// a request.
func (w *words) link(m account.OutgoingEmail) string {
	path := "/verify"
	if m.Purpose == account.PurposeReset {
		path = "/reset"
	}
	return w.base + path + "?token=" + url.QueryEscape(m.Token)
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
