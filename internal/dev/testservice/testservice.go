// Package testservice starts the real servers that tests need: PostgreSQL and Redis, on
// free loopback ports, in temporary folders, which it removes afterwards.
//
// It owns finding the programs, starting, stopping and pausing them, and the rule for a
// machine that lacks one: the test is skipped with the reason, or fails if
// HOLDFAST_REQUIRE_SERVICES=1. It must not know any other package of this module, and
// only tests import it.
//
// A server never outlives the test process, however that process ends. On Unix, a small
// guard process waits for the end of the test process and cleans up.
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
	startLimit = 60 * time.Second // from the start of a server to its first response
	stopLimit  = 60 * time.Second // from the request to stop to the exit
	pollEvery  = 10 * time.Millisecond
)

// Program returns the path of the first of names that is installed. If none is, it
// skips the test with the reason, or fails it if HOLDFAST_REQUIRE_SERVICES=1.
func Program(t testing.TB, names ...string) string {
	t.Helper()
	if path := Installed(names...); path != "" {
		return path
	}
	wanted := strings.Join(names, " or ")
	if os.Getenv("HOLDFAST_REQUIRE_SERVICES") == "1" {
		t.Fatalf("testservice: %s is not installed, and HOLDFAST_REQUIRE_SERVICES=1", wanted)
	}
	t.Skipf("testservice: %s is not installed", wanted)
	return ""
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

// find searches PATH, and where Debian and Homebrew keep programs that are not on PATH.
// The highest version wins. It returns "" if there is none.
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

// poll calls ready until it returns nil, the server's process exits or startLimit has
// passed. It returns the last error.
func poll(p *process, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
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
			return fmt.Errorf("not ready within %s: %w", startLimit, err)
		case <-tick.C:
		}
	}
}
