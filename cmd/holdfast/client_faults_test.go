package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testprocess"
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
	for _, c := range []struct {
		name, text string
		status     []int // 0: the connection closes without a response
		within     time.Duration
	}{
		{"2 MB of header", bigHeader, []int{http.StatusRequestHeaderFieldsTooLarge}, 3 * time.Second},
		{"20 MB of form", bigBody, []int{http.StatusRequestEntityTooLarge}, 3 * time.Second},
		{"20 MB of form in chunks", bigChunks, []int{http.StatusRequestEntityTooLarge}, 3 * time.Second},
		{"headers that never end", endless, []int{0, http.StatusRequestTimeout}, 8 * time.Second},
		{"a form that never ends", signUpOf(server, 1000) + "name=A", []int{http.StatusBadRequest, http.StatusRequestTimeout}, 14 * time.Second},
		{"no HTTP at all", "\x16\x03\x01\x00\xa5\r\n\r\n", []int{http.StatusBadRequest}, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, took := say(t, server, strings.NewReader(c.text))
			if !slices.Contains(c.status, status) {
				t.Errorf("answered %d, want one of %d", status, c.status)
			}
			if took > within(c.within) {
				t.Errorf("took %s, want at most %s", took, within(c.within))
			}
		})
	}
	t.Run("do not hold up others", func(t *testing.T) {
		t.Parallel()
		for range 200 {
			if _, err := open(t, server).Write([]byte(endless)); err != nil {
				t.Fatal(err)
			}
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
