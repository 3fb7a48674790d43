package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"

	"holdfast/internal/account"
	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/httpserver"
	"holdfast/web"
)

// openLab returns what the learning pages can have done to this server, and a
// function that ends what they have started beside it.
func openLab(ctx context.Context, cfg config.Config, flags config.Serve, base *url.URL, listener *httpserver.Listener, db *database.DB, accounts *account.Service, sessions *sessions, log *slog.Logger) (web.Lab, func() error, error) {
	second, err := newSecond(cfg, base)
	if err != nil {
		return web.Lab{}, nil, err
	}
	check := newCheck(ctx, cfg, flags.LabSessions, log)
	if cfg.Learn() {
		check.sweep()
	}
	closeLab := func() error {
		second.Close()
		return check.close(cfg.ShutdownTimeout)
	}
	return web.Lab{
		Restart: listener.Restart,
		StartOf: startOf(db),
		Check:   check,
		Attacks: newAttacks(cfg, base, accounts, sessions, log),
		Second:  second,
	}, closeLab, nil
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
