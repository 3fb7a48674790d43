package web

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"holdfast/internal/mail"
)

type mailsPage struct {
	Mails []shownMail // newest first
	Most  int         // how many are shown
}

type shownMail struct {
	From, To, Subject string
	At                Moment
	Open              bool // whether it is the latest
	Paragraphs        []mailParagraph
}

// mailParagraph is one paragraph of an email: text, a list, or a link.
type mailParagraph struct {
	Text  string
	Items []string
	Href  string // where Text links to, on this site
}

// showMails shows the emails kept in files, as a mail client would.
func (s *Site) showMails(c echo.Context) error {
	mails, err := s.Mails()
	if err != nil {
		return err
	}
	p := mailsPage{Most: mail.MaxShown}
	for i, m := range mails {
		shown := shownMail{From: m.From, To: m.To, Subject: m.Subject, At: MomentAt(m.Date, s.Now()), Open: i == 0}
		for part := range strings.SplitSeq(strings.TrimSpace(m.Text), "\n\n") {
			shown.Paragraphs = append(shown.Paragraphs, s.paragraph(part))
		}
		p.Mails = append(p.Mails, shown)
	}
	return s.Render(c, http.StatusOK, "mail", "Mail", p)
}

func (s *Site) paragraph(part string) mailParagraph {
	lines := strings.Split(part, "\n")
	last := lines[len(lines)-1]
	path, ours := strings.CutPrefix(last, s.BaseURL.String()+"/")
	switch {
	case len(lines) == 2 && strings.HasSuffix(lines[0], ":") && ours:
		return mailParagraph{Text: strings.TrimSuffix(lines[0], ":"), Href: "/" + path}
	case strings.HasPrefix(last, "- "):
		var items []string
		for _, line := range lines {
			items = append(items, strings.TrimPrefix(line, "- "))
		}
		return mailParagraph{Items: items}
	default:
		return mailParagraph{Text: strings.Join(lines, " ")}
	}
}
