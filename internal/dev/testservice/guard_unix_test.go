//go:build unix

package testservice_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/dev/testservice"
)

const asVictim = "HOLDFAST_TESTSERVICE_VICTIM"

// TestServersEndWithAKilledTestProcess starts this test again as a process that
// starts servers, and kills it.
func TestServersEndWithAKilledTestProcess(t *testing.T) {
	if os.Getenv(asVictim) != "" {
		victim(t)
		return
	}
	testservice.Program(t, "redis-server")
	testservice.Program(t, "postgres")
	cmd := exec.Command(os.Args[0], "-test.run=^TestServersEndWithAKilledTestProcess$")
	cmd.Env = append(os.Environ(), asVictim+"=1", "TMPDIR="+os.TempDir())
	in, err := cmd.StdinPipe() // held open: the victim waits for its end
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var addresses, folders []string
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		kind, value, _ := strings.Cut(lines.Text(), " ")
		switch kind {
		case "address":
			addresses = append(addresses, value)
		case "folder":
			folders = append(folders, value)
		}
	}
	cmd.Process.Signal(syscall.SIGKILL)
	cmd.Wait()
	if len(addresses) != 4 || len(folders) != 2 {
		t.Fatalf("the victim started %q with %q", addresses, folders)
	}
	for _, address := range addresses {
		eventually(t, address+" is closed", func() bool {
			conn, err := net.Dial("tcp", address)
			if err == nil {
				conn.Close()
			}
			return err != nil
		})
	}
	for _, folder := range folders {
		eventually(t, folder+" is gone", func() bool {
			_, err := os.Stat(folder)
			return errors.Is(err, fs.ErrNotExist)
		})
	}
}

func victim(t *testing.T) {
	for _, paused := range []bool{false, true} {
		redis, postgres := testservice.PrivateRedis(t), testservice.PrivatePostgres(t)
		conn, err := pgx.Connect(t.Context(), postgres.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		var folder string
		if err := conn.QueryRow(t.Context(), "SHOW data_directory").Scan(&folder); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("address %s\naddress %s:%d\nfolder %s\n", redis.Addr, conn.Config().Host, conn.Config().Port, folder)
		if paused {
			redis.Pause()
			postgres.Pause()
		}
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("not within 30 s: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
