// Package web owns all HTTP: routes, middleware, handlers, page structs, and the one
// table from errors to statuses. Accounts belong to internal/account, sessions to
// internal/session and templates to internal/view. This package must not know SQL,
// Redis or session keys.
package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	"holdfast/templates"
)

// Config holds what [New] needs.
type Config struct {
	Accounts *account.Service
	Sessions *session.Manager
	Stores   Stores
	// MailOn says that email is sent. The site then never reveals who is registered,
	// and asks people to confirm their addresses.
	MailOn bool
	// Mails, if set, returns the emails kept in files, for the page /mail.
	Mails func() ([]mail.Shown, error)
	// Warnings, if set, returns problems that do not stop this instance from serving,
	// in words for an operator.
	Warnings func() []string
	// DiskFull, if set, reports whether this server's disk is full. If it is, the site
	// handles only forms that end sessions.
	DiskFull func() bool
	Log      *slog.Logger
	// Answered, if set, is called after every response with the request's method, its
	// route pattern ("" for an unknown path), the status and the duration.
	Answered func(method, route string, status int, took time.Duration)
	Now      func() time.Time

	BaseURL        *url.URL       // the URL people open; its scheme decides Secure
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is used; if empty, it is ignored
	HSTSSubdomains bool           // on https, browsers use https for subdomains too
	MinPassword    int            // code points
	Version        string
	Process        Process
	// SessionStore is the kind of store that holds sessions, one of store's Kind
	// constants.
	SessionStore string
	// Embedded: the Redis that holds the sessions runs in this process.
	Embedded bool
	// NamePlaces makes pages name the file or address where sessions are kept, for
	// someone who tries the program on their own machine.
	NamePlaces bool
	Extensions []Extension
}

// Stores is the part of the database that the site uses directly.
type Stores interface {
	// Ping returns nil if the database can be reached.
	Ping(ctx context.Context) error
	// Revocations returns the sessions that an account change has revoked.
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
	// Names of cookies, as sent.
	sessionCookie, flashCookie string
	getPaths                   map[string]bool             // paths that may be redirected to, see Group.Page
	shown                      map[string]echo.HandlerFunc // the handler that shows the page at a path
	crossOrigin                *http.CrossOriginProtection
	headers                    http.Header // set on every response
	responses                  sync.Pool   // of *bufferedResponse
}

// files are the program's templates and static files, as a site serves them. They never
// change.
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
	all := []fs.FS{templates.FS}
	for _, e := range extensions {
		all = append(all, e.Templates...)
	}
	views, err := view.Parse(assets.url, all...)
	if err != nil {
		return nil, fmt.Errorf("load templates: %w", err)
	}
	atRoot, err := newRootFiles(static.Root)
	if err != nil {
		return nil, fmt.Errorf("load static files: %w", err)
	}
	return &files{views, assets, atRoot}, nil
}

// CheckTemplates runs the part of New that can fail because of a template or static
// file.
func CheckTemplates(extensions ...Extension) error {
	_, err := loadFiles(extensions)
	return err
}

// New returns a Site. It returns an error if a template or static file cannot be used.
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

// AlwaysSent returns the headers of every response, for responses made before a request
// gets here. The caller must not change them.
func (s *Site) AlwaysSent() http.Header { return s.headers }

// healthz responds 200 as long as the process runs, whatever the state of its stores.
func (s *Site) healthz(c echo.Context) error {
	return c.String(http.StatusOK, "alive\n")
}

// readyz responds 200, with any warnings, if both stores can be reached within a second
// and their data is trusted. Otherwise it responds 503 with the reasons, in words for an
// operator. They contain no address and no cause, because anyone may request them.
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
		LogCause(c, fmt.Errorf("not ready (%s): %w", strings.Join(reasons, "; "), errors.Join(sessions, people, full)))
		c.Response().Header().Set("Cache-Control", "no-store")
		c.Response().Header().Set("Retry-After", retryAfter)
		return c.String(http.StatusServiceUnavailable, "not ready\n"+strings.Join(reasons, "\n")+"\n")
	}
	answer := "ready\n"
	if s.Warnings != nil {
		for _, warning := range s.Warnings() {
			answer += "warning: " + warning + "\n"
		}
	}
	return c.String(http.StatusOK, answer)
}
