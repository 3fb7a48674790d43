//go:build unix

package main_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
	visit "holdfast/internal/visitor"
)

// sendRaw sends text unchanged. It returns the first response and whether the server
// then closed the connection.
func sendRaw(t testing.TB, server *testprocess.Server, text string) (response *http.Response, body string, closed bool) {
	t.Helper()
	conn := open(t, server)
	defer conn.Close()
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
	reader := bufio.NewReader(conn)
	response, err = http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatalf("%.60q: %v", text, err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%.60q: read the body: %v", text, err)
	}
	if !response.Close {
		return response, string(read), false
	}
	_, err = reader.ReadByte()
	return response, string(read), err == io.EOF
}

func TestAnswersThatNoHandlerMakesHaveTheSecurityHeaders(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]testprocess.Settings{"http": {}, "https": {"BASE_URL": "https://login.example.org"}} {
		settings["PORT"] = strconv.Itoa(testservice.FreePort(t))
		server := start(t, settings)
		server.URL = "http://127.0.0.1:" + settings["PORT"]
		for what, c := range map[string]struct {
			text   string
			status int
		}{
			"no HTTP":                {"kelp\r\n\r\n", 400},
			"no Host":                {"GET / HTTP/1.1\r\n\r\n", 400},
			"a space in a name":      {"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n", 400},
			"two lengths":            {"POST /logout HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
			"a header too large":     {"GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", 431},
			"an unknown encoding":    {"POST /logout HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
			"an unknown version":     {"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505},
			"an unknown expectation": {"POST /logout HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nExpect: kelp\r\n\r\n", 417},
			"OPTIONS *":              {"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404},
		} {
			response, body, closed := sendRaw(t, server, c.text)
			if response.StatusCode != c.status || !closed {
				t.Errorf("%s, %s: %d, closed %v, want %d and closed\n%s", name, what, response.StatusCode, closed, c.status, body)
			}
			for _, header := range []string{
				"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy",
				"Cross-Origin-Resource-Policy", "Permissions-Policy", "Cache-Control",
			} {
				if n := len(response.Header.Values(header)); n != 1 {
					t.Errorf("%s, %s: %d headers %s", name, what, n, header)
				}
			}
			if hsts := response.Header.Get("Strict-Transport-Security"); (hsts != "") != (name == "https") {
				t.Errorf("%s, %s: Strict-Transport-Security %q", name, what, hsts)
			}
		}
	}
}

const formHead = "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"

func TestABodyOfHeaderLinesChangesNoLaterRequest(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	conn := open(t, server)
	reader := bufio.NewReader(conn)
	ask := func(text string, want int) *http.Response {
		t.Helper()
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != want {
			t.Errorf("%.40q: %d, want %d", text, response.StatusCode, want)
		}
		return response
	}
	const honest = "email=a%40b.c&password=x"
	login := fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", formHead, len(honest), honest)
	for _, body := range forgedHeaders {
		forged := fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", formHead, len(body), body)
		ask(forged, http.StatusBadRequest) // unknown fields
		if response := ask(login, http.StatusUnprocessableEntity); response.Close {
			t.Error("the connection is closed after a log-in")
		}
	}
	// The server, not a handler, responds to the last request. The connection must not
	// have kept the state of the requests before it.
	response := ask("kelp\r\n\r\n", http.StatusBadRequest)
	if n := len(response.Header.Values("Content-Security-Policy")); n != 1 || !response.Close {
		t.Errorf("%d headers Content-Security-Policy, closed %v", n, response.Close)
	}
}

// TestARequestWithTransferEncodingIsTheLastOfItsConnection checks RFC 9112 section 6.1.
// In front of a server that follows Transfer-Encoding, a proxy that follows
// Content-Length takes the end of one request for the next.
func TestARequestWithTransferEncodingIsTheLastOfItsConnection(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	const (
		both     = formHead + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
		empty    = "0\r\n\r\n"
		form     = "18\r\nemail=a%40b.c&password=x\r\n" + empty
		smuggled = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	)
	for what, c := range map[string]struct {
		text   string
		status int
	}{
		"encoding alone":       {formHead + "Transfer-Encoding: chunked\r\n\r\n" + form, 422},
		"length first":         {both + form, 422},
		"encoding first":       {formHead + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + form, 422},
		"in small letters":     {formHead + "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n" + form, 422},
		"lines ended by LF":    {strings.ReplaceAll(both, "\r\n", "\n") + form, 422},
		"a folded encoding":    {formHead + "Content-Length: 5\r\nTransfer-Encoding:\r\n chunked\r\n\r\n" + form, 422},
		"a long header":        {formHead + "Content-Length: 5\r\nA: " + strings.Repeat("a", 20<<10) + "\r\nTransfer-Encoding: chunked\r\n\r\n" + form, 422},
		"no form in it":        {both + empty, 422},
		"a page":               {"GET /login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + empty, 200},
		"HTTP/1.0":             {strings.Replace(both, "HTTP/1.1", "HTTP/1.0", 1) + empty, 400},
		"HTTP/1.0, keep-alive": {"POST /login HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + empty, 422},
	} {
		response, _, closed := sendRaw(t, server, c.text+smuggled)
		if response.StatusCode != c.status || !closed {
			t.Errorf("%s: %d, closed %v, want %d and closed", what, response.StatusCode, closed, c.status)
		}
	}
}

// longest keeps requesting a page, each time on a new connection. The function that it
// returns stops that, and returns the longest response time.
func longest(t testing.TB, v *visitor) (stop func() time.Duration) {
	t.Helper()
	client := visit.New(v.Base)
	client.Take(v.token())
	client.Header = http.Header{"Connection": {"close"}} // a new connection each time
	t.Cleanup(client.Close)
	end, done := make(chan struct{}), make(chan error, 1)
	var took time.Duration
	go func() {
		for {
			select {
			case <-end:
				done <- nil
				return
			default:
			}
			began := time.Now()
			greeting, err := client.Greeting(context.Background())
			if err == nil && greeting == "" {
				err = errors.New("not greeted")
			}
			if err != nil {
				done <- err
				return
			}
			took = max(took, time.Since(began))
		}
	}()
	return func() time.Duration {
		t.Helper()
		close(end)
		if err := <-done; err != nil {
			t.Fatalf("meanwhile: %v", err)
		}
		return took
	}
}

func TestASlowFormHoldsNobodyUpDuringARestart(t *testing.T) {
	t.Parallel()
	server := start(t, testprocess.Settings{"SHUTDOWN_TIMEOUT": "60s"})
	v := member(t, server)
	begun := time.Now()
	slow, stuck := beginSignUp(t, server, "slow@example.org"), beginSignUp(t, server, "stuck@example.org")
	open(t, server) // browsers open one in advance and may never use it
	stop := longest(t, v)
	got, err := v.ask("POST", "/lab/restart", url.Values{})
	if err != nil || got.Code != http.StatusSeeOther {
		t.Fatalf("restart: %d, %v", got.Code, err)
	}
	// A form that keeps arriving while the restart waits is accepted.
	if response, err := slow.finish(); err != nil || response.StatusCode != http.StatusSeeOther {
		t.Errorf("the slow form: %v, %v", response, err)
	}
	for time.Since(begun) < 3*time.Second {
		mustBe(t, greeted, v, "while the restart waits for a form")
	}
	// One that began late and stays stuck is refused when the wait ends.
	late := beginSignUp(t, server, "late@example.org")
	for what, c := range map[string]struct {
		form   *hold
		status int
	}{"stuck for its whole time": {stuck, http.StatusBadRequest}, "stuck when the wait was over": {late, http.StatusServiceUnavailable}} {
		response, err := http.ReadResponse(c.form.reader, nil)
		if err != nil || response.StatusCode != c.status {
			t.Errorf("a form %s: %v, %v, want %d", what, response, err, c.status)
		}
	}
	testkit.Eventually(t, time.Minute, "start again", func() error {
		if latestStart(server) != 2 {
			return fmt.Errorf("start %d", latestStart(server))
		}
		return nil
	})
	if took := time.Since(begun); took > 45*time.Second {
		t.Errorf("the restart took %s", took)
	}
	if took := stop(); took > 8*time.Second {
		t.Errorf("a page took %s", took)
	} else {
		t.Logf("the longest wait for a page was %s", took)
	}
}
