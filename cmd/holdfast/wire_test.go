package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
)

// open opens a connection without sending anything on it.
func open(t testing.TB, server *testprocess.Server) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", hostOf(server), answerLimit)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(answerLimit)))
	return conn
}

// say sends text and reads the response, or the end of the connection. The server may
// respond before it has read all of the text.
func say(t testing.TB, server *testprocess.Server, text io.Reader) (status int, took time.Duration) {
	t.Helper()
	conn := open(t, server)
	started := time.Now()
	go func() { _, _ = io.Copy(conn, text) }() // fails if the server stops reading
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, time.Since(started)
	}
	require.NoError(t, err)
	if err := response.Body.Close(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	return response.StatusCode, time.Since(started)
}

func signUpOf(server *testprocess.Server, bytes int) string {
	return fmt.Sprintf("POST /register HTTP/1.1\r\nHost: %s\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n", hostOf(server), bytes)
}

func TestAnIdleConnectionStaysOpenForTheTimeThatIsSet(t *testing.T) {
	t.Parallel()
	server := start(t, testprocess.Settings{"KEEP_ALIVE_TIMEOUT": "2s"})
	c, err := member(t, server).caller(server, "/healthz")
	require.NoError(t, err)
	defer c.conn.Close()
	status, last, err := c.call()
	if status != http.StatusOK || last || err != nil {
		t.Fatalf("status %d, last %t, %v", status, last, err)
	}
	idle := time.Now()
	require.NoError(t, c.conn.SetReadDeadline(idle.Add(answerLimit)))
	if _, err := c.reader.ReadByte(); !errors.Is(err, io.EOF) || time.Since(idle) < 1900*time.Millisecond {
		t.Errorf("%v after %s, want the end after 2s", err, time.Since(idle))
	}
}

func TestSlowAndGreedyClientsAreBounded(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	ada := member(t, server)
	host := hostOf(server)
	endless := "GET / HTTP/1.1\r\nHost: " + host + "\r\nX-Slow: "
	bigHeader := "GET / HTTP/1.1\r\nHost: " + host + "\r\nX-Big: " + strings.Repeat("x", 2<<20) + "\r\n\r\n"
	bigBody := signUpOf(server, 20<<20) + strings.Repeat("x", 20<<20)
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<20, strings.Repeat("x", 1<<20))
	bigChunks := strings.Replace(signUpOf(server, 0), "Content-Length: 0", "Transfer-Encoding: chunked", 1) +
		strings.Repeat(chunk, 20) + "0\r\n\r\n"
	type client struct {
		text   string
		status []int // 0: the connection closes without a response
		within time.Duration
	}
	each(t, map[string]client{
		"2 MB of header":          {bigHeader, []int{http.StatusRequestHeaderFieldsTooLarge}, 3 * time.Second},
		"20 MB of form":           {bigBody, []int{http.StatusRequestEntityTooLarge}, 3 * time.Second},
		"20 MB of form in chunks": {bigChunks, []int{http.StatusRequestEntityTooLarge}, 3 * time.Second},
		"headers that never end":  {endless, []int{0, http.StatusRequestTimeout}, 8 * time.Second},
		"a form that never ends":  {signUpOf(server, 1000) + "name=A", []int{http.StatusBadRequest, http.StatusRequestTimeout}, 14 * time.Second},
		"no HTTP at all":          {"\x16\x03\x01\x00\xa5\r\n\r\n", []int{http.StatusBadRequest}, 3 * time.Second},
	}, func(t *testing.T, _ string, c client) {
		status, took := say(t, server, strings.NewReader(c.text))
		if !slices.Contains(c.status, status) {
			t.Errorf("answered %d, want one of %d", status, c.status)
		}
		if took > within(c.within) {
			t.Errorf("took %s, want at most %s", took, within(c.within))
		}
	})
	t.Run("do not hold up others", func(t *testing.T) {
		t.Parallel()
		for range 200 {
			_, err := open(t, server).Write([]byte(endless))
			require.NoError(t, err)
		}
		mustBe(t, greeted, ada, "with 200 connections that dawdle")
		if got := ada.get("/"); got.Took > within(2*time.Second) {
			t.Errorf("with 200 connections that dawdle a page took %s", got.Took)
		}
	})
}

func TestOddHTTPIsRefusedAndHarmsNobody(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	ada := member(t, server)
	host := hostOf(server)
	each(t, map[string]string{
		"no Host":                   "GET / HTTP/1.1\r\n\r\n",
		"two Hosts":                 "GET / HTTP/1.1\r\nHost: " + host + "\r\nHost: evil.example\r\n\r\n",
		"a space in a header name":  "GET / HTTP/1.1\r\nHost: " + host + "\r\nX Y: z\r\n\r\n",
		"a chunk without a size":    "POST /register HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"two lengths":               "POST /register HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
		"an unknown coding":         "POST /register HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: gzip\r\n\r\nabc",
		"a NUL in the request line": "GET /\x00 HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
	}, func(t *testing.T, _ string, text string) {
		if status, _ := say(t, server, strings.NewReader(text)); status < 400 || status == 500 {
			t.Errorf("answered %d, want a refusal", status)
		}
	})
	t.Run("the others", func(t *testing.T) { mustBe(t, greeted, ada, "meanwhile") })
}

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
		_, err := io.WriteString(conn, text)
		require.NoError(t, err)
		response, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
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
