package webdriver

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
)

// commandLimit is how long one command may take.
const commandLimit = time.Minute

// Firefox opens a Firefox with a new profile and closes it when the test ends.
func Firefox(t testing.TB) *Browser {
	t.Helper()
	conn, err := net.Dial("tcp", testservice.Firefox(t))
	require.NoError(t, err)
	m := &marionette{conn: conn, in: bufio.NewReader(conn)}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = m.read() // the greeting of Firefox
	require.NoError(t, err)
	b := &Browser{t: t, send: m.send}
	b.do("WebDriver:NewSession", object{})
	return b
}

// marionette is a connection to Firefox. A message is its length in bytes, a colon and
// JSON.
type marionette struct {
	conn net.Conn
	in   *bufio.Reader
	last int // id of the last command
}

func (m *marionette) send(command string, params object, result any) error {
	m.last++
	text, err := json.Marshal([]any{0, m.last, command, params})
	if err != nil {
		return err
	}
	if err := m.conn.SetDeadline(time.Now().Add(commandLimit)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(m.conn, "%d:%s", len(text), text); err != nil {
		return err
	}
	answer, err := m.read()
	if err != nil {
		return err
	}
	var failed *failure
	var raw json.RawMessage
	if err := json.Unmarshal(answer, &[]any{new(int), new(int), &failed, &raw}); err != nil {
		return fmt.Errorf("read %s: %w", answer, err)
	}
	if failed != nil {
		return failed
	}
	return value(raw, result)
}

func (m *marionette) read() ([]byte, error) {
	length, err := m.in.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil {
		return nil, err
	}
	message := make([]byte, n)
	_, err = io.ReadFull(m.in, message)
	return message, err
}
