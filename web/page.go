package web

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"holdfast/internal/product"
	"holdfast/internal/session/store"
	"holdfast/internal/view"
)

// layout is what every page shows around its content.
type layout struct {
	Title   string   // the whole text of <title>: "Profile · Holdfast"
	Path    string   // the request's path: the link to it is marked as the current page
	Member  string   // the person's name; "" for a guest
	Account string   // for the partial "account", in every form; see accountField
	Flashes []notice // shown once, under the header
	// FormPage is the path of the page whose form a member has to correct; "" for none.
	FormPage string
	Neutral  bool // an error page without a session

	// The footer omits empty fields.
	Version, Instance, Store string
}

// notice is a flash message as pages show it.
type notice struct {
	Text string
	Mail bool // whether a link to /mail follows
}

// Render responds with pages/name.html inside the layout, with heading as its title. If
// page is a func() any, Render commits the session before calling it, so the page shows
// what was stored.
func (s *Site) Render(c echo.Context, status int, name, heading string, page any) error {
	l := s.frame
	l.Path, l.Flashes = c.Request().URL.Path, s.takeFlashes(c)
	if after, ok := page.(func() any); ok {
		if err := s.commit(c); err != nil {
			return err
		}
		page = after()
	}
	if status == http.StatusUnprocessableEntity || status == http.StatusTooManyRequests {
		heading = "Error: " + heading
	}
	member, known := memberOf(c)
	l.Member, l.Account = member.Name, formValue(member)
	if known && c.Request().Method == http.MethodPost {
		if path := s.formPage(l.Path); path != "/" {
			l.Path, l.FormPage = path, path
		}
	}
	return s.write(c, status, name, heading, l, page)
}

// write sends a page in this layout.
func (s *Site) write(c echo.Context, status int, name, heading string, l layout, page any) error {
	l.Title = product.Name
	if heading != "" {
		l.Title = heading + " · " + product.Name
	}
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	c.Response().WriteHeader(status)
	return s.views.Render(c.Response(), name, view.Data{Layout: l, Page: page})
}

// takeFlashes returns and removes the flash messages of the session and of the flash
// cookie, which it deletes. A HEAD response cannot show them, so it leaves them.
func (s *Site) takeFlashes(c echo.Context) []notice {
	prefetched := strings.HasPrefix(cmp.Or(c.Request().Header.Get("Sec-Purpose"), c.Request().Header.Get("Purpose")), "prefetch")
	if c.Request().Method != http.MethodGet || prefetched || c.Get(flashesKey) == flashesKept {
		return nil
	}
	flashes := current(c).TakeFlashes()
	if len(flashes) > 0 {
		c.Set(flashesKey, flashesTaken)
	}
	if code, count := findCookie(c.Request(), s.flashCookie); count > 0 {
		c.SetCookie(s.cookie(product.PartingCookie, "", -1))
		if text := s.flashText(code); text != "" {
			flashes = append(flashes, text)
		}
	}
	var notices []notice
	for _, text := range flashes {
		shown := notice{Text: text}
		if before, ok := strings.CutSuffix(text, readMail); ok && s.Mails != nil {
			shown = notice{before, true}
		}
		notices = append(notices, shown)
	}
	return notices
}

// storeWords returns the words for a kind of store: a label, and the place where it
// keeps sessions.
func storeWords(kind string) (label, place string) {
	switch kind {
	case store.KindMemory:
		return "memory", "the server’s memory"
	case store.KindFile:
		return "file", "a file"
	case store.KindDatabase:
		return "database", "the database"
	default:
		return "Redis", "Redis"
	}
}

// InMemory reports whether sessions are in this server's memory, so that pages can show
// what a restart does then.
func (s *Site) InMemory() bool { return s.SessionStore == store.KindMemory }

// instanceName describes a process as pages show it.
func instanceName(p Process) string {
	restarts := "not restarted yet"
	if p.Start > 1 {
		restarts = "restarted " + Count(int(p.Start-1), "time")
	}
	return restarts + ", process ID " + strconv.Itoa(p.ID)
}
