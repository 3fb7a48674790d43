package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/product"
)

// hold is a sign-up that stops in the middle of the form, after the server has begun to
// read it. The request stays in flight until the test finishes it.
type hold struct {
	conn   net.Conn
	reader *bufio.Reader
	rest   string
}

func beginSignUp(t testing.TB, server *testprocess.Server, email string) *hold {
	t.Helper()
	conn := open(t, server)
	form := url.Values{"name": {"Ada"}, "email": {email}, "password": {password}}.Encode()
	fmt.Fprintf(conn, "POST /register HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n", hostOf(server), len(form))
	h := &hold{conn: conn, reader: bufio.NewReader(conn), rest: form[10:]}
	// The server sends 100 Continue when the handler begins to read.
	line, err := h.reader.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("instead of 100 Continue: %q, %v", line, err)
	}
	_, err = h.reader.ReadString('\n')
	require.NoError(t, err)
	_, err = conn.Write([]byte(form[:10]))
	require.NoError(t, err)
	return h
}

// finish sends the rest of the form and reads the response.
func (h *hold) finish() (*http.Response, error) {
	if _, err := h.conn.Write([]byte(h.rest)); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(h.reader, nil)
	if err != nil {
		return nil, err
	}
	return response, response.Body.Close()
}

func hostOf(server *testprocess.Server) string { return strings.TrimPrefix(server.URL, "http://") }

// refusesConnections waits until the server refuses new connections, as it does while
// it drains.
func refusesConnections(t testing.TB, server *testprocess.Server) {
	t.Helper()
	testkit.Eventually(t, answerLimit, "refuse new connections", func() error {
		conn, err := net.DialTimeout("tcp", hostOf(server), time.Second)
		if err == nil {
			conn.Close()
			return errors.New("still taken")
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return err
		}
		return nil
	})
}

func TestRequestsInFlightFinishAfterSIGTERM(t *testing.T) {
	t.Parallel()
	const flights = 3 // hashed one after the other, with ten seconds for all
	each(t, map[string]func(*testprocess.Server){
		"SIGTERM": (*testprocess.Server).Terminate, "Ctrl-C": (*testprocess.Server).Interrupt,
	}, func(t *testing.T, _ string, end func(*testprocess.Server)) {
		server := start(t, testprocess.Settings{"SHUTDOWN_TIMEOUT": "1m"})
		server.Keep(password)
		var holds []*hold
		for i := range flights {
			holds = append(holds, beginSignUp(t, server, fmt.Sprintf("flight%d@example.org", i)))
		}
		end(server)
		refusesConnections(t, server)
		var all errgroup.Group
		for _, h := range holds {
			all.Go(func() error {
				response, err := h.finish()
				if err != nil {
					return err
				}
				loggedIn := slices.ContainsFunc(response.Cookies(), func(c *http.Cookie) bool { return c.Name == product.SessionCookie && c.Value != "" })
				if response.StatusCode != http.StatusSeeOther || !loggedIn {
					return fmt.Errorf("%s, logged in: %t", response.Status, loggedIn)
				}
				return nil
			})
		}
		require.NoError(t, all.Wait())
		if end := server.Wait(answerLimit); end.Code != 0 {
			t.Errorf("ended with %d, want 0\n%s", end.Code, end.Stderr)
		}
		server.Start()
		for i := range flights {
			v := newVisitor(t, server.URL)
			v.email = fmt.Sprintf("flight%d@example.org", i)
			v.logIn()
		}
	})
}

// caller is a keep-alive client on one connection. Unlike [http.Client] it never
// retries, so it sees every failure.
type caller struct {
	conn     net.Conn
	reader   *bufio.Reader
	request  string
	answered int
}

func (v *visitor) caller(server *testprocess.Server, path string) (*caller, error) {
	conn, err := net.DialTimeout("tcp", hostOf(server), answerLimit)
	if err != nil {
		return nil, err
	}
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nCookie: %s=%s\r\n\r\n", path, hostOf(server), product.SessionCookie, v.token())
	return &caller{conn: conn, reader: bufio.NewReader(conn), request: request}, nil
}

// call sends one request and reports whether the server is closing the connection.
func (c *caller) call() (status int, last bool, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return 0, false, err
	}
	if _, err := c.conn.Write([]byte(c.request)); err != nil {
		return 0, false, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, false, err
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, false, err
	}
	c.answered++
	return response.StatusCode, response.Close, response.Body.Close()
}

// Not parallel: it generates load.
func TestNoRequestOnAKeptConnectionFailsWhenTheServerStops(t *testing.T) {
	const clients, rounds, warm = 32, 3, 10
	server := start(t, testprocess.Settings{"LOG_LEVEL": "error"})
	ada := member(t, server)
	for round := range rounds {
		var busy sync.WaitGroup
		busy.Add(clients)
		var all errgroup.Group
		for range clients {
			c, err := ada.caller(server, "/profile")
			require.NoError(t, err)
			all.Go(func() error {
				defer c.conn.Close()
				ready := sync.OnceFunc(busy.Done)
				defer ready()
				for {
					status, last, err := c.call()
					if c.answered == warm {
						ready()
					}
					if err != nil || status != http.StatusOK {
						return fmt.Errorf("after %d answers: status %d, %w", c.answered, status, err)
					}
					if last {
						return nil
					}
				}
			})
		}
		busy.Wait()
		server.Terminate()
		if err := all.Wait(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if end := server.Wait(answerLimit); end.Code != 0 || end.Took > within(5*time.Second) {
			t.Fatalf("round %d: ended with %d after %s\n%s", round, end.Code, end.Took, end.Stderr)
		}
		server.Start()
	}
	mustBe(t, greeted, ada, "after all restarts")
}

func TestASecondSIGTERMEndsTheServerAtOnce(t *testing.T) {
	t.Parallel()
	server := start(t, testprocess.Settings{"SHUTDOWN_TIMEOUT": "5m"})
	beginSignUp(t, server, "second@example.org")
	server.Terminate()
	refusesConnections(t, server)
	server.Terminate()
	if end := server.Wait(answerLimit); end.Code == 0 {
		t.Error("ended with 0 though a request was in flight")
	}
}

func TestARequestThatHangsDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	server := start(t, testprocess.Settings{"SHUTDOWN_TIMEOUT": "1s"})
	beginSignUp(t, server, "hangs@example.org")
	began := time.Now()
	server.Terminate()
	end := server.Wait(answerLimit)
	if took := time.Since(began); end.Code != 1 || took < 900*time.Millisecond {
		t.Errorf("ended with %d after %s, want 1 after the timeout of 1s", end.Code, took)
	}
	mustName(t, end.Stderr, "in flight", "1s")
	server.Start()
	v := newVisitor(t, server.URL)
	v.email = "hangs@example.org"
	v.register() // the request that was cut off left nothing behind
}
