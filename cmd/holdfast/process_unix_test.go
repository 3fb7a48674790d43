//go:build unix

package main_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testkit/chromium"
	"holdfast/internal/dev/testprocess"
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

// TestATerminalShowsWhatIsTypedAfterCtrlC presses it where a password is asked for.
func TestATerminalShowsWhatIsTypedAfterCtrlC(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("script takes other flags here")
	}
	t.Parallel()
	terminal := testservice.Program(t, "script") // runs a command at a terminal of its own
	server := start(t, testprocess.Settings{})
	ctx, end := context.WithTimeout(t.Context(), testkit.Patience)
	defer end()
	cmd := exec.CommandContext(ctx, terminal, "--quiet", "--command", "trap : INT; "+program(t)+` users add --name Ada --email ada@kelp.example; echo "exit $?"; stty -a`, os.DevNull)
	cmd.Dir, cmd.Env = server.Dir, []string{"PATH=" + os.Getenv("PATH"), "SHELL=/bin/sh"}
	keys, err := cmd.StdinPipe()
	require.NoError(t, err)
	screen, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	seen := bufio.NewReader(screen)
	for line := ""; !strings.Contains(line, "Password:"); {
		line, err = seen.ReadString('\n')
		require.NoError(t, err)
	}
	time.Sleep(100 * time.Millisecond) // the terminal hides what is typed from now on
	_, err = keys.Write([]byte{3})
	require.NoError(t, err)
	rest, err := io.ReadAll(seen)
	require.NoError(t, err)
	_ = cmd.Wait() // its status is not the program's
	if !strings.Contains(string(rest), "exit 1") || !regexp.MustCompile(`\secho\s`).Match(rest) {
		t.Errorf("the terminal shows %s", rest)
	}
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

func TestAServerEndsThoughNothingReadsItsLog(t *testing.T) {
	t.Parallel()
	at, server, _ := logTo(t)
	for range 1000 {
		require.NoError(t, answers(at+"/login"))
	}
	endsByItself(t, server)
}

// TestAServerThatStoodStillAnswersWhatWaited stops a server for longer than it trusts
// its last heartbeat, as when a laptop sleeps or a virtual machine is moved. The server
// responds to the requests that came in meanwhile instead of refusing them.
func TestAServerThatStoodStillAnswersWhatWaited(t *testing.T) {
	t.Parallel()
	server := start(t, services(t))
	ada := member(t, server)
	require.NoError(t, greeted(ada))
	require.NoError(t, syscall.Kill(server.PID(), syscall.SIGSTOP))
	const requests = 30
	answers := make([]error, requests)
	var waiting sync.WaitGroup
	for i := range answers {
		waiting.Go(func() {
			got, err := ada.ask("GET", "/profile", nil)
			if err == nil && got.Code != http.StatusOK {
				err = fmt.Errorf("status %d", got.Code)
			}
			answers[i] = err
		})
	}
	time.Sleep(4 * time.Second) // longer than the three seconds for which it trusts a heartbeat
	require.NoError(t, syscall.Kill(server.PID(), syscall.SIGCONT))
	waiting.Wait()
	for i, err := range answers {
		if err != nil {
			t.Errorf("request %d: %v\n%s", i, err, server.Log())
			return
		}
	}
}

// asVictim is an environment variable of the test process that is to be killed. Its
// value is the path of the program that the process starts.
const asVictim = "HOLDFAST_TEST_VICTIM"

// TestNothingIsLeftOfAKilledTestProcess runs itself again in a process that starts a
// server and a browser, and kills that process.
func TestNothingIsLeftOfAKilledTestProcess(t *testing.T) {
	if path := os.Getenv(asVictim); path != "" {
		victim(t, path)
		return
	}
	t.Parallel()
	testservice.Program(t, chromium.Programs()...)
	folder, err := os.MkdirTemp("", "v") // short, as socket paths must be
	require.NoError(t, err)
	if err := os.Chmod(folder, 0o711); err != nil { // otherwise root creates its folder elsewhere
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), asVictim+"="+program(t), "TMPDIR="+folder)
	in, err := cmd.StdinPipe() // held open: the victim reads until EOF
	require.NoError(t, err)
	defer in.Close()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "ready"; {
		said = append(said, lines.Text())
	}
	made, err := os.ReadDir(folder)
	require.NoError(t, errors.Join(err, cmd.Process.Kill()))
	_ = cmd.Wait() // killed
	if len(said) != 1 || len(made) == 0 {
		t.Fatalf("the victim said %q and made %d folders", said, len(made))
	}
	testkit.Eventually(t, time.Minute, "the end of the server", func() error {
		conn, err := net.Dial("tcp", strings.TrimPrefix(said[0], "http://"))
		if err != nil {
			return nil
		}
		conn.Close()
		return errors.New("it takes connections")
	})
	testkit.Eventually(t, time.Minute, "the end of all files", func() error {
		left, err := os.ReadDir(folder)
		if len(left) > 0 {
			err = fmt.Errorf("%s is left", left)
		}
		return err
	})
}

func victim(t *testing.T, path string) {
	server := testprocess.Start(t, path, t.TempDir(), nil)
	b := browse(t)
	b.do("open the first page", chromedp.Navigate(server.URL))
	fmt.Println(server.URL)
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}
