// Package web owns all HTTP: routes, middleware, handlers, the structs of the
// pages, and the one table from errors to statuses. Accounts are the business of
// internal/account, sessions of internal/session and templates of internal/view;
// this package must not know SQL, Redis or session keys.
package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/mail"
	"holdfast/internal/product"
	"holdfast/internal/session"
	"holdfast/internal/view"
	"holdfast/static"
)

// Config is what [New] needs.
type Config struct {
	Accounts *account.Service
	Sessions *session.Manager
	Stores   Stores
	// MailOn says that email is sent. Then the site reveals to no one who is
	// registered, and asks people to confirm their addresses.
	MailOn bool
	// Mails, if set, returns the emails that are kept in files, for the page /mail.
	Mails func() ([]mail.Shown, error)
	// Warnings, if set, returns problems that do not keep this instance from serving,
	// in words for an operator.
	Warnings func() []string
	// DiskFull, if set, reports whether this server's disk is full. Then only forms that
	// end sessions are answered.
	DiskFull func() bool
	Log      *slog.Logger
	// Answered, if set, is called after every response with the request's
	// method, the pattern of its route ("" for an unknown path), the status and
	// the time it took.
	Answered func(method, route string, status int, took time.Duration)
	Now      func() time.Time

	BaseURL        *url.URL       // the address people open; its scheme decides Secure
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is used; none: no client's
	HSTSSubdomains bool           // on https, browsers use https for subdomains, too
	MinPassword    int            // code points
	Version        string
	Process        Process
	// SessionStore is the kind of store sessions are in, one of session's Store
	// constants.
	SessionStore string
	// Embedded: the Redis with the sessions runs in this process.
	Embedded bool
	// NamePlaces has pages say where sessions are kept with its file or address, for
	// someone who tries the program on their own machine.
	NamePlaces bool
	Extensions []Extension
}

// Stores is the database, as far as the site uses it directly.
type Stores interface {
	// Ping returns nil if the database can be reached.
	Ping(ctx context.Context) error
	// Revocations are the sessions that a change of an account has revoked.
	Revocations() session.Revocations
}

// Process identifies this run of the server.
type Process struct {
	ID      int // of the operating system
	Start   int64
	Started time.Time
}

// Site is the whole application as an [http.Handler].
type Site struct {
	Config
	*files
	echo   *echo.Echo
	errors []NamedError
	frame  layout // what every page shows
	// The names under which cookies are sent.
	sessionCookie, flashCookie string
	getPaths                   map[string]bool             // paths that may be redirected to, see Group.Page
	shown                      map[string]echo.HandlerFunc // what shows the page at a path
	crossOrigin                *http.CrossOriginProtection
	headers                    http.Header // set on every response
	html, noStore, revalidated []string    // values of headers; nothing may change them
	responses                  sync.Pool   // of *bufferedResponse
}

// files are the templates and static files of the program, as a site serves them.
// Nothing changes them.
type files struct {
	views     *view.Set
	assets    *assets
	rootFiles rootFiles
}

func loadFiles(extensions []Extension) (*files, error) {
	assets, err := newAssets(static.FS)
	if err != nil {
		return nil, fmt.Errorf("load static files: %w", err)
	}
	views, err := view.Parse(allTemplates(extensions), assets.url)
	if err != nil {
		return nil, fmt.Errorf("load templates: %w", err)
	}
	atRoot, err := newRootFiles(static.Root)
	if err != nil {
		return nil, fmt.Errorf("load static files: %w", err)
	}
	return &files{views, assets, atRoot}, nil
}

// CheckTemplates does the part of New that can fail because of a template or static
// file.
func CheckTemplates(extensions ...Extension) error {
	_, err := loadFiles(extensions)
	return err
}

// New returns a Site. A template or static file that cannot be used is an error.
func New(cfg Config) (*Site, error) {
	files, err := loadFiles(cfg.Extensions)
	if err != nil {
		return nil, err
	}
	return newSite(cfg, files)
}

func newSite(cfg Config, files *files) (*Site, error) {
	s := &Site{
		Config:      cfg,
		files:       files,
		echo:        echo.New(),
		getPaths:    map[string]bool{},
		shown:       map[string]echo.HandlerFunc{},
		crossOrigin: http.NewCrossOriginProtection(),
		headers:     securityHeaderValues(cfg.BaseURL.Scheme == "https", cfg.HSTSSubdomains),
		html:        []string{echo.MIMETextHTMLCharsetUTF8},
		noStore:     []string{"no-store"},
		revalidated: []string{"private, no-cache"},
		errors:      namedErrors(cfg.Extensions),
		responses:   sync.Pool{New: func() any { return &bufferedResponse{header: http.Header{}} }},
	}
	s.frame = layout{Version: cfg.Version, Instance: instanceName(cfg.Process)}
	if _, s.frame.Store = storeWords(cfg.SessionStore); cfg.NamePlaces {
		s.frame.Store = cfg.Sessions.Where()
	}
	s.sessionCookie, s.flashCookie = cfg.Sessions.CookieName(), s.cookieName(product.PartingCookie)
	if err := s.views.Render(io.Discard, "error", view.Data{Layout: s.frame, Page: errorPage{}}); err != nil {
		return nil, fmt.Errorf("render error page: %w", err)
	}
	if err := s.crossOrigin.AddTrustedOrigin(cfg.BaseURL.Scheme + "://" + cfg.BaseURL.Host); err != nil {
		return nil, fmt.Errorf("add own origin as trusted: %w", err)
	}
	s.echo.HTTPErrorHandler = s.fail
	s.echo.IPExtractor = ipExtractor(cfg.TrustedProxies, cfg.Log)
	s.routes()
	return s, nil
}

// ServeHTTP implements [http.Handler].
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// AlwaysSent are the header fields of every answer, for those that are made
// before a request gets here. The caller must not change them.
func (s *Site) AlwaysSent() http.Header { return s.headers }

// healthz responds 200 as long as the process runs, whatever its stores do.
func (s *Site) healthz(c echo.Context) error {
	return c.String(http.StatusOK, "alive\n")
}

// errNotReady: a store that this instance needs cannot be reached, or is not
// trusted.
var errNotReady = errors.New("not ready")

// unready is errNotReady with the reasons, in words for an operator. They name
// no address and no cause, because anyone may request them.
type unready struct {
	reasons []string
	cause   error // for the log
}

func (n *unready) Error() string {
	return errNotReady.Error() + " (" + strings.Join(n.reasons, "; ") + "): " + n.cause.Error()
}

func (n *unready) Unwrap() []error { return []error{errNotReady, n.cause} }

// readyz responds 200 if both stores can be reached within a second and their data
// is trusted, with warnings if there are any. Errors: an unready.
func (s *Site) readyz(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), time.Second)
	defer cancel()
	sessions, people := s.Sessions.Ping(ctx), s.Stores.Ping(ctx)
	var reasons []string
	var repair session.Repair
	switch {
	case errors.As(sessions, &repair):
		reasons = append(reasons, fmt.Sprintf("checking sessions before trusting them: %d removed so far", repair.Removed))
	case errors.Is(sessions, session.ErrNoHeartbeat):
		reasons = append(reasons, "sessions are not trusted: the session store does not accept a heartbeat")
	case sessions != nil:
		reasons = append(reasons, "session store unreachable")
	}
	if people != nil {
		reasons = append(reasons, "user database unreachable")
	}
	var full error
	if s.DiskFull != nil && s.DiskFull() {
		full = errDiskFull
		reasons = append(reasons, full.Error())
	}
	if reasons != nil {
		return &unready{reasons, errors.Join(sessions, people, full)}
	}
	answer := "ready\n"
	if s.Warnings != nil {
		for _, warning := range s.Warnings() {
			answer += "warning: " + warning + "\n"
		}
	}
	return c.String(http.StatusOK, answer)
}
