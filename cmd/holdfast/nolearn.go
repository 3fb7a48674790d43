//go:build nolearn

package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/url"

	"holdfast/internal/account"
	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/httpserver"
	"holdfast/web"
)

type learning struct{}

func (*learning) connecting(ctx context.Context) (context.Context, func(error)) {
	return ctx, func(error) {}
}

func (*learning) open(context.Context, config.Config, config.Serve, *url.URL, *httpserver.Listener, *database.DB, *account.Service, *sessions, *slog.Logger) ([]web.Extension, func() error, error) {
	return nil, func() error { return nil }, nil
}

func checkTemplates(config.Config) error { return web.CheckTemplates() }

func restartCheck(context.Context, config.Config, config.RestartCheck, io.Writer, io.Writer) error {
	return errors.New("restart-check is not in this program, which was built with -tags nolearn")
}
