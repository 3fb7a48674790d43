// Package learn adds everything that teaches to a server: the learning pages, and the
// experiments and recordings they use. Only cmd and internal/dev import packages of
// this directory; the application does not know that it is explained.
package learn

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/launch"
	"holdfast/internal/learn/attack"
	"holdfast/internal/learn/byhand"
	"holdfast/internal/learn/pages"
	"holdfast/internal/learn/restartcheck"
	"holdfast/internal/learn/second"
	"holdfast/internal/learn/trace"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
	"holdfast/web"
)

// secondLife is how long a second server runs that was started from a page.
const secondLife = 5 * time.Minute

// Server is what the pages observe and act on.
type Server struct {
	Settings config.Config
	Base     *url.URL
	Address  string // where it is reached on its own machine, such as "http://127.0.0.1:3000"
	// Restart replaces the server, see [pages.Lab].
	Restart     func(context.Context) error
	LabSessions int // how many /lab creates to measure what one costs
	Database    *database.DB
	Accounts    *account.Service
	Sessions    *session.Manager
	Store       *store.Opened
	StoreConfig store.Config // that Store was opened with
	Connections *trace.Connections
	Log         *slog.Logger
}

// Templates returns the extension without a server behind it, to check its
// templates.
func Templates(settings config.Config) (web.Extension, error) {
	return pages.New(pages.Config{Learn: settings.Learn()})
}

// Open returns the extension that adds the pages to the site of a server, and a
// function that stops what they have started. Without LEARN, there is only the page
// /why.
func Open(ctx context.Context, s Server) (web.Extension, func() error, error) {
	if !s.Settings.Learn() {
		extension, err := Templates(s.Settings)
		return extension, func() error { return nil }, err
	}
	program, err := os.Executable()
	if err != nil {
		return web.Extension{}, nil, fmt.Errorf("find own executable: %w", err)
	}
	byHand, err := byhand.Of(ctx, s.StoreConfig, s.Store)
	if err != nil {
		return web.Extension{}, nil, err
	}
	check := restartcheck.NewCheck(ctx, s.Settings, s.LabSessions, s.Log)
	beside := second.New(second.Options{
		Executable: program,
		Settings:   append(launch.Inherited(), s.Settings.Environ()...),
		Host:       s.Settings.Host,
		Base:       s.Base,
		Cookie:     s.Sessions.CookieName(),
		Redis:      s.Store.SocketURL(),
		Life:       secondLife,
	})
	extension, err := pages.New(pages.Config{
		Learn:       true,
		OneStep:     s.Store.OneStep,
		ByHand:      byHand,
		Connections: s.Connections,
		Recent:      trace.NewRecent(),
		Lab: pages.Lab{
			Restart: s.Restart,
			StartOf: startOf(s.Database),
			Check:   check,
			Attacks: attack.New(attack.Config{
				Server:   s.Address,
				Host:     s.Base.Host,
				Accounts: s.Accounts,
				Sessions: s.Sessions,
				Store:    s.Store,
				Unslowed: s.Settings.Throttle == "off",
				File:     filepath.Join(s.Settings.DataDir, "attacks.json"),
				Log:      s.Log,
			}),
			Second: beside,
			Store:  s.Store,
		},
	})
	closeAll := func() error {
		beside.Close()
		return check.Close(s.Settings.ShutdownTimeout)
	}
	return extension, closeAll, err
}

// startOf finds an earlier start of this or another server.
func startOf(db *database.DB) func(context.Context, int64) (web.Process, error) {
	return func(ctx context.Context, number int64) (web.Process, error) {
		start, err := db.StartOf(ctx, number)
		if err != nil {
			return web.Process{}, err
		}
		_, text, _ := strings.Cut(start.Instance, "/")
		id, err := strconv.Atoi(text)
		if err != nil {
			return web.Process{}, fmt.Errorf("read process id of start %d: %w", number, err)
		}
		return web.Process{ID: id, Start: number, Started: start.At}, nil
	}
}
