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

	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/launch"
)

// lab is where the measuring is done: a temporary folder, a Redis, a binary of
// Holdfast, and everything that has to be stopped at the end.
type lab struct {
	options
	folder  string
	binary  string // Holdfast, built from this source
	redis   *testservice.RedisServer
	bench   *borrower
	running []*launch.Server
}

// openLab builds Holdfast and starts a Redis that keeps nothing on disk.
func openLab(o options) (*lab, error) {
	folder, err := os.MkdirTemp("", "holdfast-bench-")
	if err != nil {
		return nil, err
	}
	l := &lab{options: o, folder: folder, bench: &borrower{folder: folder}}
	if err := l.furnish(); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *lab) furnish() error {
	if _, err := exec.LookPath("wrk"); err != nil {
		return fmt.Errorf("wrk, which asks for the pages, is not installed: %w", err)
	}
	l.say("build holdfast")
	var err error
	if l.binary, err = testprocess.Build(l.folder, "holdfast/cmd/holdfast"); err != nil {
		return err
	}
	return l.bench.borrow(func(t testing.TB) { l.redis = testservice.PrivateRedis(t, "--loglevel", "warning") })
}

// launch starts a program in a new folder, with its log going to a file as in
// production. Its settings are env alone. It runs until it is stopped, or the
// measurement is over.
func (l *lab) launch(ctx context.Context, program string, args []string, env ...string) (*launch.Server, error) {
	folder, err := os.MkdirTemp(l.folder, "server-")
	if err != nil {
		return nil, err
	}
	s, err := launch.Start(ctx, launch.Command{
		Program: program, Args: args, Dir: folder, Env: env, LogFile: filepath.Join(folder, "log"),
	})
	if err == nil {
		l.running = append(l.running, s)
	}
	return s, err
}

// stopAll ends what a measurement has started.
func (l *lab) stopAll() error {
	var errs []error
	for _, p := range l.running {
		errs = append(errs, p.Stop())
	}
	l.running = nil
	return errors.Join(errs...)
}

func (l *lab) close() error {
	return errors.Join(l.stopAll(), l.bench.end(), os.RemoveAll(l.folder))
}

// say tells who waits what is going on.
func (l *lab) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// borrower replaces a test, so that the servers of tests can be used here too:
// package testservice uses nothing else of its test.
type borrower struct {
	testing.TB // nil: what is not below is not used
	folder     string
	cleanups   []func()
	errors     []error
}

// refusal is how a failed or skipped "test" leaves the function it is in.
type refusal struct{ error }

// borrow runs f and returns what it failed of.
func (b *borrower) borrow(f func(testing.TB)) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case refusal:
			err = p.error
		default:
			panic(p)
		}
	}()
	f(b)
	return nil
}

// end cleans up, last things first.
func (b *borrower) end() error {
	for _, cleanup := range slices.Backward(b.cleanups) {
		cleanup()
	}
	b.cleanups = nil
	return errors.Join(b.errors...)
}

func (b *borrower) Helper()          {}
func (b *borrower) Cleanup(f func()) { b.cleanups = append(b.cleanups, f) }
func (b *borrower) Fatal(args ...any) {
	panic(refusal{errors.New(strings.TrimSpace(fmt.Sprintln(args...)))})
}
func (b *borrower) Fatalf(f string, args ...any) {
	panic(refusal{fmt.Errorf(f, args...)})
}
func (b *borrower) Skipf(f string, args ...any)  { b.Fatalf(f, args...) }
func (b *borrower) Skip(args ...any)             { b.Fatal(args...) }
func (b *borrower) Errorf(f string, args ...any) { b.errors = append(b.errors, fmt.Errorf(f, args...)) }

func (b *borrower) TempDir() string {
	folder, err := os.MkdirTemp(b.folder, "service-")
	if err != nil {
		b.Fatal(err)
	}
	return folder
}
