//go:build !nolearn

package main

import (
	"context"
	"io"

	"holdfast/internal/config"
	"holdfast/internal/learn"
	"holdfast/internal/learn/restartcheck"
	"holdfast/internal/learn/trace"
	"holdfast/internal/session/store"
	"holdfast/web"
)

// learning is what teaches on a server. With the build tag nolearn there is none.
type learning struct{ connections trace.Connections }

// observe observes connections to the session store.
func (l *learning) observe(settings *store.Config) { settings.Connecting = l.connections.Connecting }

// openLearning adds the pages to the site. Closing ends what they have started.
func (s *server) openLearning(ctx context.Context) error {
	extension, closeAll, err := learn.Open(ctx, learn.Server{
		Settings: s.cfg, Base: s.base, Address: fromInside(s.cfg), Restart: s.listener.Restart, LabSessions: s.flags.LabSessions,
		Database: s.db, Accounts: s.accounts, Sessions: s.sessions, Store: s.store, StoreConfig: s.settings,
		Connections: &s.learning.connections, Log: s.log,
	})
	if err != nil {
		return err
	}
	s.extensions = []web.Extension{extension}
	s.closeLater(closeAll)
	return nil
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
