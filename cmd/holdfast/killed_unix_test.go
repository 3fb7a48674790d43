//go:build unix

package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testkit/chromium"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
)

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
