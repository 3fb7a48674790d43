package web_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/product"
)

// connectionBuffer is the size of the buffer through which net/http writes to a
// connection. A response that fits into it, including headers, takes one system call
// and as few packets as possible. One byte more takes two calls.
const connectionBuffer = 4096

func TestTheGreetingFitsIntoOneWrite(t *testing.T) {
	t.Parallel()
	for name, restarted := range map[string]bool{
		"Ada Lovelace":                          false,
		"Grace Hopper":                          true,
		strings.Repeat("Wolfeschlegel", 7)[:80]: true,
		strings.Repeat("각", 80):                 true,
	} {
		w := newWorld(t, embedded(t), options{learn: true})
		b := w.member(w.person(name))
		w.clock.Advance(13 * time.Hour)
		if restarted {
			w.restart()
		}
		answer, writes := w.rawAnswer(fmt.Sprintf("GET /profile HTTP/1.1\r\nHost: %s\r\nCookie: %s=%s\r\nConnection: close\r\n\r\n", w.base.Host, product.SessionCookie, b.token()))
		if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 OK\r\n")) || !bytes.Contains(answer, []byte("<h1>Hello, "+name+"!</h1>")) {
			t.Fatalf("not the greeting of %s:\n%s", name, answer)
		}
		if got := bytes.Contains(answer, []byte("survived a server restart")); got != restarted {
			t.Errorf("%s: the page says that the session survived a restart: %v", name, got)
		}
		if len(answer) > connectionBuffer || writes != 1 {
			t.Errorf("the greeting of %s is %d bytes with its headers, in %d writes, want at most %d in 1", name, len(answer), writes, connectionBuffer)
		}
	}
}

// countingListener counts the writes to all connections it accepted.
type countingListener struct {
	net.Listener
	writes atomic.Int64
}

type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countingConn{conn, &l.writes}, nil
}

func (c countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// rawAnswer sends a request to the site unchanged. It returns all bytes of the
// response, and the number of writes that sent them.
func (w *world) rawAnswer(request string) (answer []byte, writes int64) {
	w.t.Helper()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(w.t, err)
	listener := &countingListener{Listener: plain}
	server := &http.Server{Handler: w.handler.Load(), ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() { server.Close(); <-served }()
	conn, err := net.DialTimeout("tcp", plain.Addr().String(), testkit.Patience)
	require.NoError(w.t, err)
	defer conn.Close()
	require.NoError(w.t, conn.SetDeadline(time.Now().Add(testkit.Patience)))
	_, err = io.WriteString(conn, request)
	require.NoError(w.t, err)
	answer, err = io.ReadAll(conn)
	require.NoError(w.t, err)
	return answer, listener.writes.Load()
}

// BenchmarkProfileFromRedis measures a whole request for the page that greets a person,
// except the network between browser and server.
func BenchmarkProfileFromRedis(b *testing.B) { benchProfile(b, false) }

// BenchmarkWatchedProfileFromRedis measures the same with LEARN: what it costs to
// record what was done for each request.
func BenchmarkWatchedProfileFromRedis(b *testing.B) { benchProfile(b, true) }

func benchProfile(b *testing.B, learn bool) {
	at := embedded(b)
	at.redisURL = testservice.PrivateRedis(b).URL
	w := newWorld(b, at, options{learn: learn, noLog: true})
	ada := w.member(w.person("Ada Lovelace"))
	request := httptest.NewRequest(http.MethodGet, "/profile", nil)
	request.AddCookie(&http.Cookie{Name: product.SessionCookie, Value: ada.token()})
	b.ReportAllocs()
	for b.Loop() {
		answer := discardedAnswer{header: http.Header{}}
		w.site.ServeHTTP(&answer, request)
		if answer.status != http.StatusOK {
			b.Fatalf("status %d", answer.status)
		}
	}
}

// discardedAnswer is a response writer that costs as little as possible.
type discardedAnswer struct {
	header http.Header
	status int
}

func (d *discardedAnswer) Header() http.Header         { return d.header }
func (d *discardedAnswer) WriteHeader(status int)      { d.status = status }
func (d *discardedAnswer) Write(p []byte) (int, error) { return len(p), nil }
