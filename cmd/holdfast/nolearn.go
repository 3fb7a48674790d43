//go:build nolearn

package main

import (
	"context"
	"errors"
	"io"

	"holdfast/internal/config"
	"holdfast/internal/session/store"
	"holdfast/web"
)

type learning struct{}

func (*learning) observe(*store.Config) {}

func (*learning) open(context.Context, *server) ([]web.Extension, func() error, error) {
	return nil, func() error { return nil }, nil
}

func checkTemplates(config.Config) error { return web.CheckTemplates() }

func restartCheck(context.Context, config.Config, config.RestartCheck, io.Writer, io.Writer) error {
	return errors.New("restart-check is not in this program, which was built with -tags nolearn")
}
