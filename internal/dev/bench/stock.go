package main

import (
	"context"
	"flag"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"os"
	"regexp"
	"time"

	"github.com/alexedwards/scs/redisstore"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"holdfast/internal/learn/stock"
	"holdfast/templates"
)

// serveStock is the same greeting from the stock set-up: with Echo's request
// logger and Recover, and the page rendered by html/template on its way out.
// Only the pool is larger than the ten idle connections of the manual, which
// would have it dial all the time.
func serveStock(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("stock", flag.ContinueOnError)
	address := flags.String("redis", "", "URL of Redis")
	idle := flags.Duration("idle", 0, "IdleTimeout of scs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pages, err := parseStockPages()
	if err != nil {
		return err
	}
	pool := newPool(*address)
	defer pool.Close()
	return serveHTTP(ctx, stock.New(stock.Options{
		Store:       redisstore.New(pool),
		Lifetime:    7 * 24 * time.Hour,
		IdleTimeout: *idle,
		Middleware:  []echo.MiddlewareFunc{middleware.RequestLogger(), middleware.Recover(), stockHeaders},
		Greet:       greetWith(pages, time.Now()),
	}))
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

// greetWith renders the profile of Holdfast's own templates.
func greetWith(pages *template.Template, started time.Time) func(io.Writer, stock.Member) error {
	return func(w io.Writer, m stock.Member) error {
		instance := fmt.Sprintf("start %d, process %d", 1, os.Getpid())
		return pages.ExecuteTemplate(w, "base", stockView{
			Layout: stockLayout{
				Title: "Profile · Holdfast", Path: "/profile", Member: m.Name,
				Version: "dev", Instance: instance, Store: "Redis at 127.0.0.1:6379",
			},
			Page: stockProfile{
				Name:          m.Name,
				LoggedInSince: stockMomentAt(m.Created),
				LastSeen:      stockMomentAt(m.Seen),
				IdleEnd:       stockMomentAt(m.Seen.Add(24 * time.Hour)),
				LatestEnd:     stockMomentAt(m.Created.Add(7 * 24 * time.Hour)),
				Remembered:    m.Remember,
				Store:         "Redis at 127.0.0.1:6379",
				OutlivedWords: "none yet",
				ServerStarted: stockMomentAt(started),
				StartNumber:   int64(m.Start),
				Instance:      instance,
			},
		})
	}
}

type stockView struct {
	Layout stockLayout
	Page   any
}

type stockLayout struct {
	Title, Path, Member      string
	Flashes                  []string
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

type stockMoment struct{ ISO, Words string }

func stockMomentAt(t time.Time) stockMoment {
	t = t.UTC()
	away := fmt.Sprintf("in %d hours", int(time.Until(t).Hours()))
	if away == "in 0 hours" {
		away = "just now"
	}
	return stockMoment{ISO: t.Format(time.RFC3339), Words: away + t.Format(", Mon 2 Jan 15:04 MST")}
}

var indentation = regexp.MustCompile(`\n\s+`)

// parseStockPages parses the profile page in its layout, without the
// indentation, which Holdfast does not send either.
func parseStockPages() (*template.Template, error) {
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
	return t, nil
}
