package main

import (
	"context"
	"errors"
	"log/slog"

	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/learn/byhand"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
)

// sessions are the manager, the store under it, and the lines that look into it.
type sessions struct {
	*session.Manager
	store  *store.Opened
	byHand func(key string) byhand.Lines
}

// Close lets go of the store.
func (s *sessions) Close() error { return s.store.Close() }

// openSessions opens the store of sessions; start is the number of this server
// start.
func openSessions(ctx context.Context, cfg config.Config, db *database.DB, start int64, log *slog.Logger) (*sessions, error) {
	settings := store.Config{
		Kind:            cfg.SessionStore,
		RedisURL:        cfg.RedisURL.Reveal(),
		DataDir:         cfg.DataDir,
		Connect:         cfg.RedisConnectTimeout,
		Timeout:         cfg.RedisTimeout,
		Endings:         session.Endings(db.Devices(), cfg.DataDir),
		Belongs:         session.Belongs,
		Postgres:        db.Pool(),
		DatabaseName:    db.Name(),
		DatabaseTimeout: cfg.DatabaseTimeout,
		Log:             log,
	}
	if db.Pool() == nil {
		settings.SQLite = db.SQL()
	}
	opened, err := store.Open(ctx, settings)
	if err != nil {
		return nil, err
	}
	byHand, err := byhand.Of(ctx, settings, opened)
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	manager := session.New(session.Config{
		Store:   opened,
		Where:   opened.Where,
		Devices: db.Devices(),
		DataDir: cfg.DataDir,
		Limits: session.Limits{
			Idle:     cfg.SessionIdleTimeout,
			Lifetime: cfg.SessionLifetime,
			Remember: cfg.SessionRememberLifetime,
		},
		Secure: cfg.Secure(),
		Start:  start,
		Log:    log,
	})
	return &sessions{manager, opened, byHand}, nil
}
