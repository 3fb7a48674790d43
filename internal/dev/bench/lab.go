package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/launch"
)

// lab holds what the measurements need: a temporary directory, a Redis, a binary of
// Holdfast, and everything that must be stopped at the end. It takes the place of a
// *testing.T, so that measurements can use the servers for tests and stop at the first
// failure.
type lab struct {
	testing.TB // nil: methods that are not defined below are not used
	options
	ctx      context.Context // cancelled when the measurements are interrupted
	folder   string
	binary   string // Holdfast, built from this source
	redis    *testservice.RedisServer
	running  []*launch.Server
	cleanups []func()
	errors   []error
}

// furnish builds Holdfast and starts a Redis without persistence.
func (l *lab) furnish() {
	if _, err := exec.LookPath("wrk"); err != nil {
		l.Fatalf("wrk, which asks for the pages, is not installed: %w", err)
	}
	var err error
	l.folder, err = os.MkdirTemp("", "holdfast-bench-")
	require.NoError(l, err)
	l.say("build holdfast")
	l.binary, err = testprocess.Build(l.folder, "holdfast/cmd/holdfast")
	require.NoError(l, err)
	l.redis = testservice.PrivateRedis(l, "--loglevel", "warning")
}

// launch starts a program in a new directory, with its log in a file as in production.
// Its settings are only those in env. It runs until it is stopped or the measurement
// ends.
func (l *lab) launch(program string, args []string, env ...string) *launch.Server {
	folder := l.TempDir()
	s, err := launch.Start(l.ctx, launch.Command{
		Program: program, Args: args, Dir: folder, Env: env, LogFile: filepath.Join(folder, "log"),
	})
	require.NoError(l, err)
	l.running = append(l.running, s)
	return s
}

// stopAll stops everything that a measurement has started.
func (l *lab) stopAll() {
	for _, s := range l.running {
		if err := s.Stop(); err != nil {
			l.Errorf("%w", err)
		}
	}
	l.running = nil
}

// say reports progress to the user.
func (l *lab) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// refusal is the panic value with which a failed or skipped "test" leaves its function.
type refusal struct{ error }

// try runs f and returns its failure, if any.
func (l *lab) try(f func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case refusal:
			err = p.error
		default:
			panic(p)
		}
	}()
	f()
	return nil
}

// end cleans up, in reverse order.
func (l *lab) end() error {
	l.stopAll()
	for _, cleanup := range slices.Backward(l.cleanups) {
		cleanup()
	}
	l.cleanups = nil
	return errors.Join(append(l.errors, os.RemoveAll(l.folder))...)
}

func (l *lab) Helper()                   {}
func (l *lab) Cleanup(f func())          { l.cleanups = append(l.cleanups, f) }
func (l *lab) Failed() bool              { return len(l.errors) > 0 }
func (l *lab) Logf(f string, a ...any)   { l.say(f, a...) }
func (l *lab) Errorf(f string, a ...any) { l.errors = append(l.errors, fmt.Errorf(f, a...)) }
func (l *lab) Fatal(a ...any)            { l.Fatalf("%s", strings.TrimSpace(fmt.Sprintln(a...))) }
func (l *lab) Fatalf(f string, a ...any) { panic(refusal{fmt.Errorf(f, a...)}) }
func (l *lab) Skip(a ...any)             { l.Fatal(a...) }
func (l *lab) Skipf(f string, a ...any)  { l.Fatalf(f, a...) }

func (l *lab) TempDir() string {
	folder, err := os.MkdirTemp(l.folder, "server-")
	require.NoError(l, err)
	return folder
}
