//go:build !nolearn

package main

import (
	"context"
	"io"
	"log/slog"
	"net/url"

	"holdfast/internal/account"
	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/httpserver"
	"holdfast/internal/learn"
	"holdfast/internal/learn/restartcheck"
	"holdfast/internal/learn/trace"
	"holdfast/web"
)

// learning is what teaches on a server. With the build tag nolearn there is none.
type learning struct{ connections trace.Connections }

// connecting observes connections to the session store.
func (l *learning) connecting(ctx context.Context) (context.Context, func(error)) {
	return l.connections.Connecting(ctx)
}

// open returns what puts the pages on the site, and a function that ends what they
// have started.
func (l *learning) open(ctx context.Context, cfg config.Config, flags config.Serve, base *url.URL, listener *httpserver.Listener, db *database.DB, accounts *account.Service, sessions *sessions, log *slog.Logger) ([]web.Extension, func() error, error) {
	extension, closeAll, err := learn.Open(ctx, learn.Server{
		Settings: cfg, Base: base, Address: fromInside(cfg), Restart: listener.Restart, LabSessions: flags.LabSessions,
		Database: db, Accounts: accounts, Sessions: sessions.Manager, Store: sessions.store, StoreConfig: sessions.config,
		Connections: &l.connections, Log: log,
	})
	return []web.Extension{extension}, closeAll, err
}

// checkTemplates does the part of opening the site that can fail because of a
// template or static file.
func checkTemplates(cfg config.Config) error {
	extension, err := learn.Templates(cfg)
	if err != nil {
		return err
	}
	return web.CheckTemplates(extension)
}

func restartCheck(ctx context.Context, cfg config.Config, flags config.RestartCheck, stdout, stderr io.Writer) error {
	return restartcheck.Command(ctx, cfg, flags, stdout, stderr)
}
