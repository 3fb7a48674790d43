package main

import (
	"context"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/alexedwards/scs/redisstore"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"holdfast/internal/learn/stock"
	"holdfast/templates"
)

// serveStock serves the same greeting with the typical set-up: with Echo's request
// logger and Recover, and the page rendered by html/template as it is sent. Only the
// pool is larger than the ten idle connections of the manual, with which it would dial
// all the time.
func serveStock(ctx context.Context, file string) error {
	j, err := readJob(file)
	if err != nil {
		return err
	}
	pages, err := parseStockPages()
	if err != nil {
		return err
	}
	pool := newPool(j.Redis)
	defer pool.Close()
	return serveHTTP(ctx, stock.New(stock.Options{
		Store:       redisstore.New(pool),
		Lifetime:    7 * 24 * time.Hour,
		IdleTimeout: j.Idle,
		Middleware:  []echo.MiddlewareFunc{middleware.RequestLogger(), middleware.Recover(), sending(j.Header)},
		Greet:       greetWith(pages, time.Now()),
	}))
}

// sending sets the headers of a response of Holdfast, so that the number of bytes is
// the same.
func sending(header http.Header) echo.MiddlewareFunc {
	header.Del(echo.HeaderContentLength)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			maps.Copy(c.Response().Header(), header)
			return next(c)
		}
	}
}

// greetWith renders the profile of Holdfast's own templates.
func greetWith(pages *template.Template, started time.Time) func(io.Writer, stock.Member) error {
	return func(w io.Writer, m stock.Member) error {
		now := time.Now()
		return pages.ExecuteTemplate(w, "base", stockView{
			Layout: stockLayout{
				Title: "Profile · Holdfast", Path: "/profile", Member: m.Name, Account: "aaaaaaaaaaaa",
				Version: "dev", Instance: fmt.Sprintf("not restarted yet, process ID %d", os.Getpid()), Store: "Redis",
			},
			Page: stockProfile{
				Name:          m.Name,
				LoggedInSince: stockMomentAt(m.Created, now),
				LastSeen:      stockMomentAt(m.Seen, now),
				IdleEnd:       stockMomentAt(m.Seen.Add(24*time.Hour), now),
				LatestEnd:     stockMomentAt(m.Created.Add(7*24*time.Hour), now),
				Remembered:    m.Remember,
				ServerStarted: stockMomentAt(started, now),
			},
		})
	}
}

type stockView struct {
	Layout stockLayout
	Page   any
}

type stockLayout struct {
	Title, Path               string
	Member, Account, FormPage string
	Flashes                   []string
	Neutral, Learn            bool
	Version, Instance, Store  string
}

type stockProfile struct {
	Name                                        string
	LoggedInSince, LastSeen, IdleEnd, LatestEnd stockMoment
	Remembered                                  bool
	Outlived                                    string
	ServerStarted                               stockMoment
}

type stockMoment struct{ ISO, Words string }

func stockMomentAt(t, now time.Time) stockMoment {
	words := "just now"
	if hours := int(t.Sub(now).Hours()); hours != 0 {
		words = fmt.Sprintf("in %d hours, %s", hours, t.Format("Mon 2 Jan 15:04 MST"))
	}
	return stockMoment{ISO: t.UTC().Format(time.RFC3339), Words: words}
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
