package main

import (
	"context"
	"flag"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/alexedwards/scs/redisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"holdfast/templates"
)

// serveStock is the same greeting as somebody makes it who follows the manuals:
// Echo with its request logger and Recover, scs with its own codec and the
// redisstore, LoadAndSave around the handler, and the page rendered by
// html/template on its way out. Only the pool is larger than the ten idle
// connections of the manual, which would have it dial all the time.
func serveStock(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("stock", flag.ContinueOnError)
	address := flags.String("redis", "", "URL of Redis")
	idle := flags.Duration("idle", 0, "IdleTimeout of scs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pool := newPool(*address)
	defer pool.Close()
	sessions := scs.New()
	sessions.Store = redisstore.New(pool)
	sessions.IdleTimeout = *idle
	sessions.Lifetime = 7 * 24 * time.Hour

	e := echo.New()
	pages, err := newStockPages()
	if err != nil {
		return err
	}
	e.Renderer = pages
	e.Use(middleware.RequestLogger(), middleware.Recover(), stockHeaders, echo.WrapMiddleware(sessions.LoadAndSave))
	site := stockSite{sessions: sessions, started: time.Now()}
	e.POST("/login", site.logIn)
	e.GET("/profile", site.profile)
	return serveHTTP(ctx, e)
}

// stockHeaders sends what Holdfast sends with this page, so that the same
// bytes travel.
func stockHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self' data:; manifest-src 'self'; connect-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		return next(c)
	}
}

type stockSite struct {
	sessions *scs.SessionManager
	started  time.Time
}

func (s stockSite) logIn(c echo.Context) error {
	ctx, now := c.Request().Context(), time.Now().Unix()
	s.sessions.Put(ctx, "id", "AAAAAAAAAAAAAAAAAAAAAA")
	s.sessions.Put(ctx, "name", c.FormValue("name"))
	s.sessions.Put(ctx, "created", now)
	s.sessions.Put(ctx, "seen", now)
	s.sessions.Put(ctx, "start", 1)
	s.sessions.Put(ctx, "remember", false)
	return c.NoContent(http.StatusNoContent)
}

func (s stockSite) profile(c echo.Context) error {
	ctx := c.Request().Context()
	name := s.sessions.GetString(ctx, "name")
	if name == "" {
		return c.Redirect(http.StatusSeeOther, "/login")
	}
	created := time.Unix(s.sessions.GetInt64(ctx, "created"), 0)
	seen := time.Unix(s.sessions.GetInt64(ctx, "seen"), 0)
	instance := fmt.Sprintf("start %d, process %d", 1, os.Getpid())
	return c.Render(http.StatusOK, "base", stockView{
		Layout: stockLayout{
			Title: "Profile · Holdfast", Path: "/profile", Member: name,
			Version: "dev", Instance: instance, Store: "Redis at 127.0.0.1:6379",
		},
		Page: stockProfile{
			Name:          name,
			LoggedInSince: stockMomentAt(created),
			LastSeen:      stockMomentAt(seen),
			IdleEnd:       stockMomentAt(seen.Add(24 * time.Hour)),
			LatestEnd:     stockMomentAt(created.Add(7 * 24 * time.Hour)),
			Remembered:    s.sessions.GetBool(ctx, "remember"),
			Store:         "Redis at 127.0.0.1:6379",
			OutlivedWords: "none yet",
			ServerStarted: stockMomentAt(s.started),
			StartNumber:   int64(s.sessions.GetInt(ctx, "start")),
			Instance:      instance,
		},
	})
}

type stockView struct {
	Layout stockLayout
	Page   any
}

type stockLayout struct {
	Title, Path, Member      string
	Notices                  []string
	Neutral, Learn           bool
	Version, Instance, Store string
}

type stockProfile struct {
	Name                                        string
	LoggedInSince, LastSeen, IdleEnd, LatestEnd stockMoment
	Remembered                                  bool
	Store                                       string
	OutlivedWords                               string
	ServerStarted                               stockMoment
	StartNumber                                 int64
	Instance                                    string
	OlderThanServer                             bool
}

type stockMoment struct{ ISO, Exact, Words string }

func stockMomentAt(t time.Time) stockMoment {
	t = t.UTC()
	away := fmt.Sprintf("in %d hours", int(time.Until(t).Hours()))
	if away == "in 0 hours" {
		away = "just now"
	}
	return stockMoment{ISO: t.Format(time.RFC3339), Exact: t.Format("2 January 2006, 15:04:05 UTC"), Words: away}
}

// stockPages renders with html/template, as Echo's manual shows.
type stockPages struct{ templates *template.Template }

var indentation = regexp.MustCompile(`\n\s+`)

// newStockPages parses the profile page in its layout, without the indentation,
// which Holdfast does not send either.
func newStockPages() (*stockPages, error) {
	t := template.New("base").Funcs(template.FuncMap{
		"asset": func(name string) string { return "/static/0123456789abcdef/" + name },
	})
	files := []string{"layouts/base.html", "pages/profile.html"}
	partials, err := fs.Glob(templates.FS, "partials/*.html")
	if err != nil {
		return nil, fmt.Errorf("list partials: %w", err)
	}
	files = append(files, partials...)
	for _, file := range files {
		source, err := templates.FS.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if _, err := t.Parse(indentation.ReplaceAllString(string(source), "\n")); err != nil {
			return nil, fmt.Errorf("parse %s: %w", file, err)
		}
	}
	return &stockPages{t}, nil
}

// Render implements [echo.Renderer].
func (p *stockPages) Render(w io.Writer, name string, data any, _ echo.Context) error {
	return p.templates.ExecuteTemplate(w, name, data)
}
