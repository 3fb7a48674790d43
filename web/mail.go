package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

type mailsPage struct{ Mails []shownMail }

type shownMail struct {
	From, To, Subject string
	At                moment
	Paragraphs        []mailParagraph
}

// mailParagraph is one of a mail's text; Link, if there is one, is its last line.
type mailParagraph struct {
	Lines      []string
	Label      string
	Link, Href string // as written, and on this site
}

// showMails shows the mail that is kept in files, as a mail client would.
func (s *Site) showMails(c echo.Context) error {
	mails, err := s.Mails()
	if err != nil {
		return err
	}
	var p mailsPage
	for _, m := range mails {
		shown := shownMail{From: m.From, To: m.To, Subject: m.Subject, At: momentAt(m.Date, s.Now())}
		for part := range strings.SplitSeq(strings.TrimSpace(m.Text), "\n\n") {
			shown.Paragraphs = append(shown.Paragraphs, s.paragraph(part))
		}
		p.Mails = append(p.Mails, shown)
	}
	return s.page(c, http.StatusOK, "mail", "Mail", p)
}

func (s *Site) paragraph(part string) mailParagraph {
	lines := strings.Split(part, "\n")
	last := lines[len(lines)-1]
	if len(lines) != 2 || !strings.HasPrefix(last, s.BaseURL.String()+"/") {
		return mailParagraph{Lines: lines}
	}
	p := mailParagraph{Label: strings.TrimSuffix(lines[0], ":"), Link: last}
	if u, err := url.Parse(last); err == nil {
		p.Href = u.RequestURI()
	}
	return p
}
