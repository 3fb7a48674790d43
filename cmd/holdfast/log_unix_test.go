//go:build unix

package main_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
)

// logTo starts a server that writes its log and standard output to a pipe. It returns
// the read end of the pipe once the server responds.
func logTo(t *testing.T) (at string, server *exec.Cmd, log *os.File) {
	t.Helper()
	log, its, err := os.Pipe()
	require.NoError(t, err)
	port := strconv.Itoa(testservice.FreePort(t))
	server = exec.Command(program(t), "serve")
	server.Dir, server.Env = t.TempDir(), []string{"PORT=" + port, "TMPDIR=" + os.TempDir(), "HOST=127.0.0.1"}
	server.Stdout, server.Stderr = its, its
	require.NoError(t, server.Start())
	require.NoError(t, its.Close())
	release, err := testservice.Guard(server.Process.Pid)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = server.Process.Kill() // it has usually exited already
		release()
		_ = log.Close()
	})
	at = "http://127.0.0.1:" + port
	testkit.Eventually(t, testkit.Patience, "answer", func() error { return answers(at + "/healthz") })
	return at, server, log
}

func answers(url string) error {
	response, err := (&http.Client{Timeout: testkit.Patience}).Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}

// endsByItself sends the server SIGTERM, and fails the test unless it exits
// successfully.
func endsByItself(t *testing.T, server *exec.Cmd) {
	t.Helper()
	require.NoError(t, server.Process.Signal(syscall.SIGTERM))
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(testkit.Patience):
		t.Fatal("the server has not ended")
	}
}

func TestTheServerOutlivesTheReaderOfItsLog(t *testing.T) {
	t.Parallel()
	at, server, log := logTo(t)
	require.NoError(t, log.Close())
	for range 5 {
		require.NoError(t, answers(at+"/login"))
	}
	endsByItself(t, server)
}

// TestNoRequestWaitsForALogThatNothingReads writes more than the 64 KiB that a pipe
// holds.
func TestNoRequestWaitsForALogThatNothingReads(t *testing.T) {
	t.Parallel()
	at, server, log := logTo(t)
	for range 1000 {
		require.NoError(t, answers(at+"/login"))
	}
	text := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(log)
		text <- string(all)
	}()
	testkit.Eventually(t, testkit.Patience, "answer", func() error { return answers(at + "/login") })
	endsByItself(t, server)
	if all := <-text; !strings.Contains(all, "log lines dropped: nothing read the log") {
		t.Errorf("the log does not say that lines are missing; it ends with %q", all[max(0, len(all)-500):])
	}
}
