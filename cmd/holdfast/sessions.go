package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
)

// sessions are the manager and the store under it.
type sessions struct {
	*session.Manager
	store  *store.Opened
	config store.Config // that the store was opened with
}

// Close closes the store.
func (s *sessions) Close() error { return s.store.Close() }

// openSessions opens the session store of a server, and creates it if it is
// missing; start is the number of this server start.
func openSessions(ctx context.Context, cfg config.Config, db *database.DB, start int64, teaching *learning, log *slog.Logger) (*sessions, error) {
	settings := storeSettings(cfg, db, log)
	settings.Connecting = teaching.connecting
	opened, err := store.Open(ctx, settings)
	if err != nil {
		return nil, err
	}
	return &sessions{newManager(cfg, db, opened, cfg.DataDir, start, log), opened, settings}, nil
}

// openRecordedSessions opens the session store for a command, if it is the one
// that the server recorded. Before a server has recorded one, any existing store is
// accepted.
//
// The command has no queue for revocations that the database does not accept: no
// server may ever look into its directory.
func openRecordedSessions(ctx context.Context, cfg config.Config, db *database.DB, log *slog.Logger) (*sessions, error) {
	record, recorded, err := db.RecordedSessionStore(ctx)
	if err != nil {
		return nil, err
	}
	servers := store.Identity(record)
	if cfg.SessionStore == store.KindMemory && (!recorded || servers.Kind == store.KindMemory) {
		return nil, errors.New("sessions cannot be managed from the command line with SESSION_STORE=memory: they are in the server's memory; stop the server to end them all")
	}
	elsewhere := ""
	if recorded {
		elsewhere = fmt.Sprintf("; the server keeps sessions in %s, as it recorded in %s", servers.Place, db.Name())
	}
	settings := storeSettings(cfg, db, log)
	settings.Accept = func(given store.Identity) error {
		switch {
		case !recorded || given.Same(servers):
			return nil
		case given.Place == servers.Place:
			return fmt.Errorf("%s holds different data than when the server last recorded it: start the server, which records the store it uses", given.Place)
		default:
			return fmt.Errorf("this command was given %s%s: run it with the server's settings, or start the server if it has moved", given.Place, elsewhere)
		}
	}
	opened, err := store.Open(ctx, settings)
	if errors.Is(err, store.ErrMissing) {
		return nil, fmt.Errorf("%w%s", err, elsewhere)
	}
	if err != nil {
		return nil, err
	}
	return &sessions{Manager: newManager(cfg, db, opened, "", 0, log), store: opened}, nil
}

// recordStore records the store that a server uses, for commands. The function it
// returns records it again if the store has another ID by then, because it was
// emptied, or an older version of its data was restored.
func recordStore(ctx context.Context, opened *store.Opened, db *database.DB, log *slog.Logger) (again func(context.Context) error, err error) {
	identity, err := opened.Mark(ctx)
	if err != nil {
		// A store that accepts no writes still serves the sessions in it.
		log.WarnContext(ctx, "session store recorded by its place alone", "cause", err)
	}
	recorded := database.SessionStore(identity)
	if err := db.RecordSessionStore(ctx, recorded); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		identity, err := opened.Mark(ctx)
		now := database.SessionStore(identity)
		if err == nil && now != recorded {
			if err = db.ReplaceSessionStore(ctx, recorded, now); err == nil {
				recorded = now
			}
		}
		return nil // a store or database that is down is logged when it is needed
	}, nil
}

func storeSettings(cfg config.Config, db *database.DB, log *slog.Logger) store.Config {
	settings := store.Config{
		Kind:            cfg.SessionStore,
		RedisURL:        cfg.RedisURL.Reveal(),
		DataDir:         cfg.DataDir,
		Connect:         cfg.RedisConnectTimeout,
		Timeout:         cfg.RedisTimeout,
		RevocationLog:   session.RevocationLog(db.Devices(), cfg.DataDir),
		Belongs:         session.Belongs,
		Postgres:        db.Pool(),
		DatabaseName:    db.Name(),
		DatabaseTimeout: cfg.DatabaseTimeout,
		Log:             log,
	}
	if db.Pool() == nil {
		settings.SQLite = db.SQL()
	}
	return settings
}

func newManager(cfg config.Config, db *database.DB, opened *store.Opened, queueDir string, start int64, log *slog.Logger) *session.Manager {
	return session.New(session.Config{
		Store:   opened,
		Where:   opened.Where,
		Devices: db.Devices(),
		DataDir: queueDir,
		Limits: session.Limits{
			Idle:     cfg.SessionIdleTimeout,
			Lifetime: cfg.SessionLifetime,
			Remember: cfg.SessionRememberLifetime,
		},
		Secure: cfg.Secure(),
		Start:  start,
		Log:    log,
	})
}
