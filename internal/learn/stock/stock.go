// Package stock is a typical set-up: a login built by following the manuals, with
// Echo, and scs with its default codec and LoadAndSave around the handlers. The
// caller opens the store as the manual of redisstore shows. [Signed] is one without a
// store.
//
// It owns that site: RenewToken at login, Destroy at logout, a page that greets,
// values in the session, and one slow request. It checks at most one password and no
// origin: Holdfast is compared with it, in attacks and in benchmarks. It must not
// know how Holdfast works.
package stock

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/labstack/echo/v4"
)

// CookieName is the name of the session cookie, the default of scs.
const CookieName = "session"

// Options configure the site.
type Options struct {
	Store       scs.Store     // redisstore's, with a pool as its manual shows it
	Lifetime    time.Duration // of a session
	IdleTimeout time.Duration // 0 for none
	// Middleware runs before that of scs.
	Middleware []echo.MiddlewareFunc
	// Greet writes the page of a member; nil writes one line.
	Greet func(w io.Writer, m Member) error
	// Password is the one that logs in; "" for any. It is compared as it is:
	// hashing would slow guesses down, and count none.
	Password string
	// Slow is what a POST to SlowPath waits for before it stores a value, given
	// its field "wait"; nil for no such route.
	SlowPath string
	Slow     func(ctx context.Context, wait string) error
}

// Member is what the session of a logged-in person holds.
type Member struct {
	Name          string
	Created, Seen time.Time
	Remember      bool
	Start         int
}

// Site is the typical set-up. It serves HTTP.
type Site struct {
	*echo.Echo
	options  Options
	sessions *scs.SessionManager
}

// New returns a Site.
func New(o Options) *Site {
	if o.Greet == nil {
		o.Greet = func(w io.Writer, m Member) error {
			_, err := io.WriteString(w, "Hello, "+m.Name+"!")
			return err
		}
	}
	s := &Site{Echo: echo.New(), options: o, sessions: scs.New()}
	s.sessions.Store = o.Store
	s.sessions.Lifetime, s.sessions.IdleTimeout = o.Lifetime, o.IdleTimeout
	// As by default, but without logging.
	s.sessions.ErrorFunc = func(w http.ResponseWriter, _ *http.Request, _ error) {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
	}
	s.Renderer = renderer(o.Greet)
	s.Use(o.Middleware...)
	s.Use(echo.WrapMiddleware(s.sessions.LoadAndSave))
	s.POST("/login", s.logIn)
	s.POST("/logout", s.logOut)
	s.GET("/profile", s.profile)
	s.POST("/session", s.put)
	s.GET("/session", s.show)
	if o.Slow != nil {
		s.POST(o.SlowPath, s.slow)
	}
	return s
}

// renderer adapts Greet to Echo.
type renderer func(io.Writer, Member) error

// Render implements [echo.Renderer].
func (r renderer) Render(w io.Writer, _ string, data any, _ echo.Context) error {
	return r(w, data.(Member))
}

// logIn reads the name from the form, if there is one.
func (s *Site) logIn(c echo.Context) error {
	if s.options.Password != "" && c.FormValue("password") != s.options.Password {
		return wrongPassword(c)
	}
	ctx, now := c.Request().Context(), time.Now().Unix()
	if err := s.sessions.RenewToken(ctx); err != nil {
		return err
	}
	s.sessions.Put(ctx, "id", "AAAAAAAAAAAAAAAAAAAAAA")
	s.sessions.Put(ctx, "name", cmp.Or(c.FormValue("name"), "Throwaway"))
	s.sessions.Put(ctx, "created", now)
	s.sessions.Put(ctx, "seen", now)
	s.sessions.Put(ctx, "start", 1)
	s.sessions.Put(ctx, "remember", false)
	return c.Redirect(http.StatusSeeOther, "/profile")
}

func wrongPassword(c echo.Context) error {
	return c.String(http.StatusUnprocessableEntity, "That email and password do not match.\n")
}

func (s *Site) logOut(c echo.Context) error {
	if err := s.sessions.Destroy(c.Request().Context()); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/login")
}

func (s *Site) profile(c echo.Context) error {
	ctx := c.Request().Context()
	m := Member{
		Name:     s.sessions.GetString(ctx, "name"),
		Created:  time.Unix(s.sessions.GetInt64(ctx, "created"), 0),
		Seen:     time.Unix(s.sessions.GetInt64(ctx, "seen"), 0),
		Remember: s.sessions.GetBool(ctx, "remember"),
		Start:    s.sessions.GetInt(ctx, "start"),
	}
	if m.Name == "" {
		return c.Redirect(http.StatusSeeOther, "/login")
	}
	return c.Render(http.StatusOK, "profile", m)
}

func (s *Site) put(c echo.Context) error {
	s.sessions.Put(c.Request().Context(), c.FormValue("key"), c.FormValue("value"))
	return c.Redirect(http.StatusSeeOther, "/session")
}

func (s *Site) show(c echo.Context) error {
	ctx := c.Request().Context()
	values := map[string]any{}
	for _, key := range s.sessions.Keys(ctx) {
		values[key] = s.sessions.Get(ctx, key)
	}
	return c.JSON(http.StatusOK, values)
}

// slow stores a value after a delay.
func (s *Site) slow(c echo.Context) error {
	ctx := c.Request().Context()
	if s.sessions.GetString(ctx, "name") == "" {
		return c.Redirect(http.StatusSeeOther, "/login")
	}
	if err := s.options.Slow(ctx, c.FormValue("wait")); err != nil {
		return err
	}
	s.sessions.Put(ctx, "slow", "done")
	return c.NoContent(http.StatusNoContent)
}
