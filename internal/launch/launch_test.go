package launch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/launch"
)

// asProgram is the environment variable that says what the test binary does instead of
// running tests.
const asProgram = "LAUNCH_TEST_PROGRAM"

func TestMain(m *testing.M) {
	switch os.Getenv(asProgram) {
	case "":
		os.Exit(m.Run())
	case "serve": // until its input ends
		fmt.Fprintln(os.Stderr, "a line of the log")
		fmt.Printf("A server\n  url       http://first\n  url       http://second\n  env       %s\n  sessions  here", strings.Join(os.Environ(), " "))
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "refuse":
		fmt.Fprintln(os.Stderr, "a line of the log\nholdfast: it is in use by another")
		os.Exit(1)
	case "refuse silently":
		os.Exit(3)
	case "silence":
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
}

func start(t *testing.T, what string, change func(*launch.Command)) (*launch.Server, error) {
	t.Helper()
	c := launch.Command{Program: os.Args[0], Dir: t.TempDir(), Env: []string{asProgram + "=" + what}}
	if change != nil {
		change(&c)
	}
	s, err := launch.Start(t.Context(), c)
	if err == nil {
		t.Cleanup(s.Kill)
	}
	return s, err
}

func TestAProcessHasTheListedEnvironmentAndNoOther(t *testing.T) {
	t.Setenv("HOLDFAST_SOCKET", "3")
	for _, entry := range launch.Inherited() {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value) // restored at the end
		os.Unsetenv(name)
	}
	t.Setenv("HOME", "/kept")
	s, err := start(t, "serve", func(c *launch.Command) {
		c.Env, c.Until = append(c.Env, launch.Inherited()...), "env"
	})
	require.NoError(t, err)
	got := strings.Fields(s.Says("env"))
	got = slices.DeleteFunc(got, func(entry string) bool { // os/exec adds these
		return strings.HasPrefix(entry, "SYSTEMROOT=") || strings.HasPrefix(entry, "PWD=")
	})
	slices.Sort(got)
	if want := []string{"HOME=/kept", asProgram + "=serve"}; !slices.Equal(got, want) {
		t.Errorf("the environment is %q, want %q", got, want)
	}
}

func TestTheLatestWholeLineOfAnAnnouncementCounts(t *testing.T) {
	s, err := start(t, "serve", func(c *launch.Command) { c.Until = "env" })
	require.NoError(t, err)
	if s.URL() != "http://second" || s.Says("sessions") != "" || s.Says("database") != "" {
		t.Errorf("url %q, sessions %q", s.URL(), s.Says("sessions"))
	}
}

func TestARefusalToStartIsToldByTheLastLineOfTheLog(t *testing.T) {
	for _, logFile := range []string{"", filepath.Join(t.TempDir(), "log")} {
		_, err := start(t, "refuse", func(c *launch.Command) { c.LogFile = logFile })
		var ended *launch.EndedError
		var exit *exec.ExitError
		if !errors.As(err, &ended) || !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Fatalf("error %v", err)
		}
		if ended.LastLine() != "it is in use by another" || !strings.Contains(err.Error(), "a line of the log") {
			t.Errorf("the last line is %q of\n%v", ended.LastLine(), err)
		}
	}
}

func TestARefusalWithoutAWordIsToldByItsExitStatus(t *testing.T) {
	_, err := start(t, "refuse silently", nil)
	var ended *launch.EndedError
	if !errors.As(err, &ended) || ended.LastLine() != "exit status 3" {
		t.Errorf("error %v", err)
	}
}

func TestAProgramThatAnnouncesNothingIsKilledInTime(t *testing.T) {
	began := time.Now()
	_, err := start(t, "silence", func(c *launch.Command) { c.StartLimit = 100 * time.Millisecond })
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 20*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	if _, err := start(t, "", func(c *launch.Command) { c.Program = filepath.Join(c.Dir, "nothing") }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestAServerIsStoppedOrKilledOnce(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no signals")
	}
	s, err := start(t, "serve", nil)
	require.NoError(t, err)
	var ended *launch.EndedError
	if err := s.Stop(); !errors.As(err, &ended) { // this server does not handle SIGTERM
		t.Errorf("stopped by a signal it does not handle: %v", err)
	}
	<-s.Done()
	s.Kill()
	if err := s.Signal(os.Interrupt); err != nil {
		t.Errorf("a signal after the end: %v", err)
	}
	if s.ExitCode() != -1 {
		t.Errorf("exit code %d", s.ExitCode())
	}
}
