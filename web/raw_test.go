package web_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
)

// raw sends a request unchanged, even one that no HTTP library would send, and closes
// its half of the connection. target is the text between method and version in the
// request line.
func (w *world) raw(method, target, body string, headers ...string) *answer {
	w.t.Helper()
	conn, err := net.DialTimeout("tcp", w.base.Host, testkit.Patience)
	require.NoError(w.t, err)
	defer conn.Close()
	if w.options.https {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // the test server's own certificate
	}
	require.NoError(w.t, conn.SetDeadline(time.Now().Add(testkit.Patience)))
	lines := append([]string{
		fmt.Sprintf("%s %s HTTP/1.1", method, target), "Host: " + w.base.Host, "Connection: close",
	}, headers...)
	// The server may respond and stop reading before everything is written.
	_, _ = io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"+body)
	if half, ok := conn.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
	request := &http.Request{Method: method, URL: &url.URL{Scheme: w.base.Scheme, Host: w.base.Host, Path: target}}
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		w.t.Fatalf("%s %.100q: %v", method, target, err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	require.NoError(w.t, err)
	a := &answer{t: w.t, request: request, status: response.StatusCode, header: response.Header, body: read, cookies: response.Cookies()}
	a.hold(w)
	return a
}
