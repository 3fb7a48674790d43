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

func (*server) openLearning(context.Context) error { return nil }

func checkTemplates(config.Config) error { return web.CheckTemplates() }

func restartCheck(context.Context, config.Config, config.RestartCheck, io.Writer, io.Writer) error {
	return errors.New("restart-check is not in this program, which was built with -tags nolearn")
}
