// Package testservice starts the real servers that tests need: PostgreSQL and
// Redis, on free loopback ports, in temporary folders, gone afterwards.
//
// It owns finding the programs, starting, stopping and hanging them, and the
// rule for a machine that lacks one: the test is skipped with the reason, or
// fails when HOLDFAST_REQUIRE_SERVICES=1. It must not know any other package
// of this module, and only tests import it.
//
// A server never outlives the test process, however that process ends: on
// Unix a small guard process waits for its end and cleans up behind it.
package testservice

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	startLimit = 60 * time.Second // a server must answer within this after its start
	stopLimit  = 60 * time.Second // and be gone within this after a request to stop
	pollEvery  = 10 * time.Millisecond
)

// Program returns the path of the first of names that is installed. When none
// is, the test is skipped with the reason, or fails when
// HOLDFAST_REQUIRE_SERVICES=1.
func Program(t testing.TB, names ...string) string {
	t.Helper()
	path := Installed(names...)
	if path == "" {
		missing(t, strings.Join(names, " or ")+" is not installed")
	}
	return path
}

// Installed returns the path of the first of names that is installed, or "".
func Installed(names ...string) string {
	for _, name := range names {
		if path := find(name); path != "" {
			return path
		}
	}
	return ""
}

// find looks on PATH and where Debian and Homebrew keep programs that they do
// not put there; the highest version wins. It returns "" when there is none.
func find(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, pattern := range []string{
		"/usr/sbin/",
		"/usr/lib/postgresql/*/bin/",
		"/opt/homebrew/opt/postgresql@*/bin/",
		"/usr/local/opt/postgresql@*/bin/",
		"/usr/lib/*/webkit2gtk-4.1/",
	} {
		paths, _ := filepath.Glob(pattern + name)
		slices.Sort(paths)
		for _, path := range slices.Backward(paths) {
			if found, err := exec.LookPath(path); err == nil {
				return found
			}
		}
	}
	return ""
}

func missing(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("HOLDFAST_REQUIRE_SERVICES") == "1" {
		t.Fatalf("testservice: %s, and HOLDFAST_REQUIRE_SERVICES=1", reason)
	}
	t.Skipf("testservice: %s", reason)
}

// poll asks until ready returns nil, the server's process ends or limit has
// passed; it returns the last answer.
func poll(p *process, limit time.Duration, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := ready(try)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("exited unexpectedly (%s): %w", p.cmd.ProcessState, err)
		case <-ctx.Done():
			return fmt.Errorf("not ready within %s: %w", limit, err)
		case <-tick.C:
		}
	}
}
