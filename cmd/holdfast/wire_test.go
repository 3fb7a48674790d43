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
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
	visit "holdfast/internal/learn/visitor"
)

// sendRaw sends text as it stands and returns the first answer and whether the
// server then closed the connection.
func sendRaw(t testing.TB, server *testprocess.Server, text string) (response *http.Response, body string, closed bool) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", hostOf(server), answerLimit)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
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
			"no HTTP":                     {"kelp\r\n\r\n", 400},
			"no Host":                     {"GET / HTTP/1.1\r\n\r\n", 400},
			"a space in a name":           {"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n", 400},
			"two lengths":                 {"POST /logout HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
			"a header too large":          {"GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", 431},
			"an unknown encoding":         {"POST /logout HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
			"an unknown version":          {"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505},
			"an unknown expectation":      {"POST /logout HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nExpect: kelp\r\n\r\n", 417},
			"OPTIONS *":                   {"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404},
			"length and encoding at once": {"POST /logout HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
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

func TestARequestWithTwoEndsIsRefusedHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	const both = "POST /logout HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	for what, text := range map[string]string{
		"encoding first":         both + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"in small letters":       both + "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
		"an encoding folded":     both + "Content-Length: 5\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
		"lines ended by LF":      strings.ReplaceAll(both+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "\r\n", "\n") + "0\r\n\r\n",
		"with HTTP/1.0":          strings.Replace(both, "1.1", "1.0", 1) + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
		"a great header between": both + "Content-Length: 5\r\nA: " + strings.Repeat("a", 20<<10) + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		if response, body, closed := sendRaw(t, server, text); response.StatusCode != http.StatusBadRequest || !closed {
			t.Errorf("%s: %d, closed %v\n%s", what, response.StatusCode, closed, body)
		}
	}
	// On a connection that has served before, behind another request in the
	// same packet, its header in two halves.
	conn, err := net.DialTimeout("tcp", hostOf(server), answerLimit)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	ask := func(text string, want int) {
		t.Helper()
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != want {
			t.Errorf("%.40q: %d, want %d", text, response.StatusCode, want)
		}
	}
	chunked := both + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\n=b\r\n0\r\n\r\n"
	plain := both + "Content-Length: 0\r\n\r\n"
	ask(chunked, http.StatusBadRequest) // an unknown field: a form was read
	ask(plain, http.StatusSeeOther)
	ask(chunked, http.StatusBadRequest)
	ask(plain+both+"Content-Leng", http.StatusSeeOther)
	ask("th: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", http.StatusBadRequest)
	if _, err := reader.ReadByte(); err != io.EOF {
		t.Errorf("the connection was not closed: %v", err)
	}
}

// longest asks for a page on a fresh connection again and again until stop is
// called, which returns the longest time an answer took.
func longest(t testing.TB, v *visitor) (stop func() time.Duration) {
	t.Helper()
	client := visit.New(v.Base)
	client.Take(v.token())
	client.Header = http.Header{"Connection": {"close"}} // each time another connection
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
	// A connection that a browser opened in advance, and never uses.
	silent, err := net.DialTimeout("tcp", hostOf(server), answerLimit)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	stop := longest(t, v)
	got, err := v.ask("POST", "/lab/restart", url.Values{})
	if err != nil || got.Code != http.StatusSeeOther {
		t.Fatalf("restart: %d, %v", got.Code, err)
	}
	// A form that goes on arriving while the restart waits is taken.
	if response, err := slow.finish(); err != nil || response.StatusCode != http.StatusSeeOther {
		t.Errorf("the slow form: %v, %v", response, err)
	}
	for time.Since(begun) < 3*time.Second {
		mustBe(t, greeted, v, "while the restart waits for a form")
	}
	// One that began late, and stays stuck, is refused when the wait is over.
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
	if took := time.Since(begun); took > 25*time.Second {
		t.Errorf("the restart took %s", took)
	}
	if took := stop(); took > 5*time.Second {
		t.Errorf("somebody waited %s for a page", took)
	} else {
		t.Logf("the longest wait for a page was %s", took)
	}
}
