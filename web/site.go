// Package web owns all HTTP: routes, middleware, handlers, the structs of the
// pages, rendering, and the one table from errors to statuses. It asks
// internal/account who people are and internal/session whose request this is;
// it knows no SQL, no Redis and no session key.
package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/learn/trace"
	"holdfast/internal/mail"
	"holdfast/internal/session"
	"holdfast/internal/throttle"
	"holdfast/static"
	"holdfast/templates"
)

// Config is what the site is made of.
type Config struct {
	Accounts *account.Service
	Sessions *session.Manager
	// Revocations are the sessions that a change of an account has ended.
	Revocations session.Revocations
	// Throttle slows tries; nil lets all through.
	Throttle *throttle.Limiter
	// MailOn says that mail is sent: then the site tells nobody who is
	// registered, and asks to confirm addresses.
	MailOn bool
	// Mails, if set, returns the mail that is kept in files, for the page /mail.
	Mails func() ([]mail.Shown, error)
	// Ready answers nil when the people's database can be reached.
	Ready func(context.Context) error
	Log   *slog.Logger
	// Answered, if set, is told of every answer: the request's method, the
	// pattern of its route ("" for an unknown path), the status and the time
	// it took.
	Answered func(method, route string, status int, took time.Duration)
	Now      func() time.Time

	BaseURL        *url.URL       // where people reach the site; its scheme decides Secure
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed; none: nobody's
	MinPassword    int            // code points
	RememberFor    time.Duration
	Learn          bool
	Version        string
	Process        Process
	// SessionStore is the kind of store sessions are in, one of session's Store
	// constants.
	SessionStore string
	Lab          Lab
}

// Process is this run of the server, as people and logs see it.
type Process struct {
	ID      int // of the operating system
	Start   int64
	Started time.Time
}

// Site is the whole application as an [http.Handler].
type Site struct {
	Config
	echo     *echo.Echo
	renderer *renderer
	assets   *assets
	failures failurePages
	recent   *trace.Recent   // with LEARN
	getPaths map[string]bool // paths a person may be sent to after log-in
	forgery  *http.CrossOriginProtection
	always   http.Header // sent with every answer
	bodies   sync.Pool   // of *bytes.Buffer, for answers that wait for their session
}

// New parses every template and makes the site. A broken template is an error.
func New(cfg Config) (*Site, error) {
	assets, err := newAssets(static.FS)
	if err != nil {
		return nil, fmt.Errorf("load static files: %w", err)
	}
	renderer, err := newRenderer(templates.FS, assets)
	if err != nil {
		return nil, fmt.Errorf("load templates: %w", err)
	}
	s := &Site{
		Config:   cfg,
		echo:     echo.New(),
		renderer: renderer,
		assets:   assets,
		getPaths: map[string]bool{},
		forgery:  http.NewCrossOriginProtection(),
		always:   alwaysSent(cfg.BaseURL.Scheme == "https"),
		bodies:   sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
	if s.failures, err = s.renderFailures(); err != nil {
		return nil, fmt.Errorf("render error pages: %w", err)
	}
	if err := s.forgery.AddTrustedOrigin(cfg.BaseURL.Scheme + "://" + cfg.BaseURL.Host); err != nil {
		return nil, fmt.Errorf("trust own origin: %w", err)
	}
	if cfg.Learn {
		s.recent = trace.NewRecent()
	}
	s.echo.HTTPErrorHandler = s.fail
	s.echo.IPExtractor = ipExtractor(cfg.TrustedProxies)
	s.routes()
	return s, nil
}

// CheckTemplates parses every template and static file, as New does, and nothing else.
func CheckTemplates() error {
	assets, err := newAssets(static.FS)
	if err != nil {
		return fmt.Errorf("load static files: %w", err)
	}
	if _, err := newRenderer(templates.FS, assets); err != nil {
		return fmt.Errorf("load templates: %w", err)
	}
	return nil
}

// ServeHTTP implements [http.Handler].
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// ipExtractor takes the sender's address from the connection, and from
// X-Forwarded-For only as far as trusted proxies vouch for it. Echo's default
// believes anyone (GHSA-246p).
func ipExtractor(trusted []netip.Prefix) echo.IPExtractor {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, network := range trusted {
		network = network.Masked()
		options = append(options, echo.TrustIPRange(&net.IPNet{
			IP:   network.Addr().AsSlice(),
			Mask: net.CIDRMask(network.Bits(), network.Addr().BitLen()),
		}))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

// newRequestID returns 96 random bits as text.
func newRequestID() string {
	random := make([]byte, 12)
	_, _ = rand.Read(random) // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(random)
}

// healthz answers that the process is alive, whatever its stores do.
func (s *Site) healthz(c echo.Context) error {
	return c.String(http.StatusOK, "alive\n")
}

// readyz answers whether this instance can serve: both stores reachable.
func (s *Site) readyz(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), time.Second)
	defer cancel()
	if err := errors.Join(s.Sessions.Ping(ctx), s.Ready(ctx)); err != nil {
		s.Log.WarnContext(ctx, "not ready", "cause", err)
		return c.String(http.StatusServiceUnavailable, "not ready\n")
	}
	return c.String(http.StatusOK, "ready\n")
}
