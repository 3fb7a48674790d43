// Package testprocess runs holdfast as people run it: the real program, in a
// process and a folder of its own, stopped or killed, and started again.
//
// It owns building the program, running it with nothing but the settings a
// test names, and looking through what it said for data races, panics and
// secrets; package launch does the starting and ending. It must not know what
// the program does.
//
// A process never outlives its test, nor the test process, however that ends.
package testprocess

import (
	"bytes"
	"context"
	"fmt"
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
	startLimit = 60 * time.Second // an announcement must come within this after the start
	runLimit   = 60 * time.Second // a command must end within this
)

// Build compiles the package into folder and returns the program's path. It
// has the race detector in make campaign only: what the program does, the tests
// of its packages do with the race detector in their own process.
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

// Settings are variables of the environment by name. A process gets these, the
// folder for temporary files (TMPDIR), and no others.
type Settings map[string]string

// environ is the whole environment of a process. Its temporary files go where
// the tests' go: a killed one leaves some behind.
func (s Settings) environ() []string {
	env := []string{"TMPDIR=" + os.TempDir()}
	for name, value := range s {
		env = append(env, name+"="+value)
	}
	return env
}

// Result is how a command ended.
type Result struct {
	Code           int // -1 when a signal ended it
	Stdout, Stderr string
	Took           time.Duration
}

// Output is all the command said.
func (r Result) Output() string { return r.Stdout + r.Stderr }

// Run runs the program in dir to its end, which it must reach within a minute.
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

// lookThrough fails the test when a process said what none ever may.
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
