// Package testprocess runs holdfast as people run it: the real program, in a separate
// process and folder, stopped or killed, and started again.
//
// It owns building the program, running it with only the settings that a test names,
// and searching its output for data races, panics and secrets. Package launch starts
// and stops the process. This package must not know what the program does.
//
// A process never outlives its test or the test process, however those end.
package testprocess

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/testservice"
)

const (
	startLimit = 60 * time.Second // from the start to the announcement
	runLimit   = 60 * time.Second // from the start of a command to its exit
)

// Build compiles the package into folder and returns the program's path. It enables the
// race detector only in make campaign: the tests of the program's packages run the same
// code with the race detector in their own process.
func Build(folder, pkg string, flags ...string) (string, error) {
	program := filepath.Join(folder, "holdfast")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	args := append([]string{"build", "-o", program}, flags...)
	if campaign.On() {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, pkg)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return program, nil
}

// Settings are environment variables by name. A process gets these, the folder for
// temporary files (TMPDIR), and long timeouts for its stores: on a machine that runs all
// tests at the same time, a slow store is not down. It gets no others.
type Settings map[string]string

// environ returns the whole environment of a process. The process puts its temporary
// files where the tests do, because a killed process leaves some behind.
func (s Settings) environ() []string {
	all := Settings{"TMPDIR": os.TempDir(), "REDIS_TIMEOUT": "10s", "REDIS_CONNECT_TIMEOUT": "10s", "DATABASE_TIMEOUT": "10s"}
	maps.Copy(all, s)
	var env []string
	for name, value := range all {
		env = append(env, name+"="+value)
	}
	return env
}

// Result is how a command exited and what it printed.
type Result struct {
	Code           int // -1 if a signal terminated it
	Stdout, Stderr string
	Took           time.Duration
}

// Output returns everything that the command printed.
func (r Result) Output() string { return r.Stdout + r.Stderr }

// Run runs the program in dir until it exits, which it must do within a minute.
func Run(t testing.TB, program, dir string, settings Settings, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = dir, settings.environ()
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	started := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatalf("testprocess: start: %v", err)
	}
	release, err := testservice.Guard(cmd.Process.Pid)
	if err != nil {
		t.Errorf("testprocess: guard: %v", err)
	}
	err = cmd.Wait()
	release()
	if ctx.Err() != nil {
		t.Fatalf("testprocess: %q had not ended after %s: %v\n%s", args, runLimit, err, stderr.String())
	}
	result := Result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(started)}
	lookThrough(t, result.Output(), nil)
	return result
}

// lookThrough fails the test if a process printed a data race, a panic or a secret.
func lookThrough(t testing.TB, said string, secrets []string) {
	t.Helper()
	for _, sign := range []string{"DATA RACE", "panic:", "goroutine 1 ["} {
		if at := strings.Index(said, sign); at >= 0 {
			t.Errorf("testprocess: the program said %q:\n%.4000s", sign, said[at:])
		}
	}
	for _, secret := range secrets {
		if strings.Contains(said, secret) {
			t.Errorf("testprocess: the program said the secret %q", secret)
		}
	}
}
