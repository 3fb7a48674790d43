package embeddedredis_test

import (
	"bufio"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
)

// watched starts redis-cli MONITOR and returns what it shows up to a line with the word
// "enough".
func watched(c cli, whileDo func()) []string {
	c.t.Helper()
	cmd := c.command("MONITOR")
	out, err := cmd.StdoutPipe()
	require.NoError(c.t, err)
	require.NoError(c.t, cmd.Start())
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "OK" {
		c.t.Fatalf("MONITOR begins with %q", lines.Text())
	}
	whileDo()
	var shown []string
	for lines.Scan() {
		shown = append(shown, lines.Text())
		if strings.Contains(lines.Text(), "enough") {
			return shown
		}
	}
	c.t.Fatalf("MONITOR ended after %q", shown)
	return nil
}

func TestMonitorShowsWhatOthersDoAsRedisDoes(t *testing.T) {
	t.Parallel()
	work := func(conn redis.Conn) {
		for _, command := range [][]any{
			{"SET", "holdfast:session:key", "{\"name\":\"Ada\"}\x00\xff\t\r\n\a\b\\", "PX", 60_000},
			{"get", "holdfast:session:key"},
			{"NOSUCHCOMMAND", "hidden"},
			{"GET"},
			{"MULTI"}, {"DEL", "a"}, {"EXEC"},
			{"MULTI"}, {"DEL", "hidden"}, {"DISCARD"},
			{"PING", "enough"},
		} {
			conn.Do(command[0].(string), command[1:]...) // some are refused
		}
	}
	server := testservice.PrivateRedis(t)
	real, err := redis.Dial("tcp", server.Addr)
	require.NoError(t, err)
	defer real.Close()
	_, port, _ := net.SplitHostPort(server.Addr)
	s := open(t, t.TempDir())
	client := dial(t, s)
	shown := [][]string{
		watched(cli{t, []string{"-p", port}}, func() { work(real) }),
		watched(cliOf(t, s), func() { work(client) }),
	}
	form := regexp.MustCompile(`^(\d{10}\.\d{6}) \[0 (\S+)\] "`)
	for i, lines := range shown {
		for j, line := range lines {
			if strings.Contains(line, "hidden") && !strings.Contains(line, "DEL") {
				t.Errorf("a password is shown: %s", line)
			}
			if parts := form.FindStringSubmatch(line); parts == nil || (i == 1 && parts[2] != "unix:"+s.Socket()) {
				t.Errorf("not of the form of Redis: %s", line)
			}
			lines[j] = form.ReplaceAllString(line, `"`)
		}
	}
	if !slices.Equal(shown[0], shown[1]) {
		t.Errorf("Redis shows\n%s\nours\n%s", strings.Join(shown[0], "\n"), strings.Join(shown[1], "\n"))
	}
}

// TestNobodyWaitsForAMonitorThatDoesNotRead sends a monitor more than the socket and
// the server buffer for it.
func TestNobodyWaitsForAMonitorThatDoesNotRead(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	slow, err := net.Dial("unix", s.Socket())
	require.NoError(t, err)
	defer slow.Close()
	_, err = slow.Write([]byte("MONITOR\r\n"))
	require.NoError(t, err)
	_, err = io.ReadFull(slow, make([]byte, len("+OK\r\n"))) // it is not a monitor before this reply
	require.NoError(t, err)
	conn, line := dial(t, s), strings.Repeat("x", 100<<10)
	for range 20 { // twice the maximum
		do(t, conn, "PING", line)
	}
	slow.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, slow); err != nil {
		t.Errorf("its connection goes on: %v", err)
	}
	do(t, conn, "PING")
}
