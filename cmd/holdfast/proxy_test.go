package main_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
	visit "holdfast/internal/visitor"
)

// documented returns the first block of this language in docs/operations.md.
func documented(t testing.TB, language string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	require.NoError(t, err)
	_, block, found := strings.Cut(string(text), "```"+language+"\n")
	block, _, closed := strings.Cut(block, "```")
	if !found || !closed {
		t.Fatalf("docs/operations.md has no block of %s", language)
	}
	return block
}

// certificate creates an untrusted certificate for a host.
func certificate(t testing.TB, host string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotAfter: time.Now().Add(time.Hour)}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	folder := t.TempDir()
	certificate, key = filepath.Join(folder, "certificate.pem"), filepath.Join(folder, "key.pem")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	}
	return certificate, key
}

// behindProxy starts two servers behind nginx, configured as in docs/operations.md. It
// returns them, a function that makes a visitor, and one that makes a transport for
// other requests.
func behindProxy(t testing.TB) (servers []*testprocess.Server, visit func() *visitor, transport func() *http.Transport) {
	t.Helper()
	const host = "login.example.org"
	settings := services(t)
	addr := "127.0.0.1:" + strconv.Itoa(testservice.FreePort(t))
	public, private := certificate(t, host)
	own := []string{
		"listen 443 ssl", "listen " + addr + " ssl",
		"/etc/ssl/login.example.org.pem", public, "/etc/ssl/login.example.org.key", private,
	}
	for _, documented := range []string{"127.0.0.1:3001", "127.0.0.1:3002"} {
		server := testprocess.Settings{
			"BASE_URL": "https://" + host, "TRUSTED_PROXIES": "127.0.0.1", "HOST": "127.0.0.1",
			"PORT": strconv.Itoa(testservice.FreePort(t)), "LOG_LEVEL": "error",
		}
		maps.Copy(server, settings)
		servers = append(servers, start(t, server))
		own = append(own, documented, "127.0.0.1:"+server["PORT"])
	}
	testservice.Nginx(t, replace(t, documented(t, "nginx"), own...), addr)
	transport = func() *http.Transport {
		return &http.Transport{
			MaxIdleConnsPerHost: 4,
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, // the certificate is self-signed
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, addr)
			},
		}
	}
	return servers, func() *visitor {
		v := newVisitor(t, "https://"+host)
		v.Through(transport())
		t.Cleanup(v.Close)
		return v
	}, transport
}

// TestARollingRestartBehindTheDocumentedProxyFailsNobody restarts one server after the
// other, waiting for each to be ready, while people read pages and change their
// sessions.
func TestARollingRestartBehindTheDocumentedProxyFailsNobody(t *testing.T) {
	t.Parallel()
	const readers, writers, rounds = 12, 4, 2
	servers, visit, _ := behindProxy(t)
	var all errgroup.Group
	var stop atomic.Bool
	var mu sync.Mutex
	answers := map[string]int{} // by method and status
	var served atomic.Int64
	for i := range readers + writers {
		v := visit()
		v.register()
		all.Go(func() error {
			for n := 0; !stop.Load(); n++ {
				method, path, form := "GET", "/profile", url.Values(nil)
				if i >= readers {
					method, path, form = "POST", "/session", url.Values{"key": {"n"}, "value": {strconv.Itoa(n)}}
				}
				got, err := v.ask(method, path, form)
				if err != nil {
					return err
				}
				mu.Lock()
				answers[fmt.Sprintf("%s %d", method, got.Code)]++
				mu.Unlock()
				served.Add(1)
				<-time.After(pause)
			}
			return nil
		})
	}
	for range rounds {
		for _, server := range servers {
			reach(t, &served, 5*(readers+writers), answerLimit, "serve everyone")
			server.Stop()
			reach(t, &served, 5*(readers+writers), answerLimit, "serve everyone meanwhile")
			server.Start()
			v := newVisitor(t, "http://127.0.0.1:"+server.Setting("PORT"))
			testkit.Steadily(t, answerLimit, "be ready", func() error { return ready(v) })
		}
	}
	stop.Store(true)
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("answers: %v", answers)
	delete(answers, "GET 200")
	delete(answers, "POST 303")
	if len(answers) > 0 {
		t.Errorf("wrong answers: %v", answers)
	}
}

func TestTheDocumentedProxyCompressesPagesAndSaysWhoAsked(t *testing.T) {
	t.Parallel()
	_, browser, _ := behindProxy(t)
	v := browser()
	v.register()
	got, err := v.Do(t.Context(), visit.Request{Method: http.MethodGet, Path: "/profile", Header: http.Header{
		"Accept-Encoding": {"gzip"}, "X-Forwarded-For": {"192.0.2.66"},
	}})
	require.NoError(t, err)
	if encoding := got.Header.Get("Content-Encoding"); got.Code != http.StatusOK || encoding != "gzip" {
		t.Errorf("status %d, encoding %q", got.Code, encoding)
	}
	if page := v.get("/devices"); !strings.Contains(page.page.Text(), "127.0.0.1") || strings.Contains(page.page.Text(), "192.0.2.66") {
		t.Error("the address of the log-in is not the one the proxy saw")
	}
}

// TestBehindTheDocumentedProxyNoBodyChangesRequestsOfOthers has two clients send forms
// that look like headers, on connections that nginx shares among all clients.
func TestBehindTheDocumentedProxyNoBodyChangesRequestsOfOthers(t *testing.T) {
	t.Parallel()
	const others, rounds = 2, 20
	_, visit, transport := behindProxy(t)
	var attacks, honest errgroup.Group
	var stop atomic.Bool
	var forged atomic.Int64
	for _, body := range forgedHeaders {
		client := &http.Client{Transport: transport(), Timeout: answerLimit}
		defer client.CloseIdleConnections()
		attacks.Go(func() error {
			for !stop.Load() {
				response, err := client.Post("https://login.example.org/login", "application/x-www-form-urlencoded", strings.NewReader(body))
				if err != nil {
					return err
				}
				if _, err := io.Copy(io.Discard, response.Body); err != nil {
					return err
				}
				response.Body.Close()
				if response.StatusCode != http.StatusBadRequest {
					return fmt.Errorf("a forged form: status %d", response.StatusCode)
				}
				forged.Add(1)
				<-time.After(pause)
			}
			return nil
		})
	}
	reach(t, &forged, 20, answerLimit, "answer forged forms")
	for range others {
		v := visit()
		v.register()
		honest.Go(func() error {
			for range rounds {
				if err := greeted(v); err != nil {
					return err
				}
				if err := v.tryLogOut(); err != nil {
					return err
				}
				if err := entered(v.tryLogIn()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := honest.Wait(); err != nil {
		t.Error(err)
	}
	stop.Store(true)
	require.NoError(t, attacks.Wait())
}

// forgedHeaders are form bodies that look like request headers: the end of some, and
// some with requests after them.
var forgedHeaders = []string{
	"x=1\nTransfer-Encoding: chunked\ny=2",
	"x=1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"\nTransfer-Encoding: chunked\nContent-Length: 7\n\n" +
		"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\ny=2\nTransfer-Encoding: ",
}

// TestUsersLogInThroughPgBouncer configures PgBouncer as docs/operations.md says, in
// session and transaction mode. In transaction mode, it has fewer connections than the
// server.
func TestUsersLogInThroughPgBouncer(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	ignored := regexp.MustCompile("`(ignore_startup_parameters = [^`]+)`").FindSubmatch(document)
	if ignored == nil {
		t.Fatal("the document has no parameters to ignore")
	}
	each(t, map[string]string{"session": "", "transaction": "exec"}, func(t *testing.T, mode, execute string) {
		connections := map[string]int{"session": 30, "transaction": 8}[mode]
		database, err := url.Parse(testkit.Postgres(t).URL)
		require.NoError(t, err)
		secret, _ := database.User.Password()
		port := testservice.FreePort(t)
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		testservice.PgBouncer(t, fmt.Sprintf(`
[databases]
* = host=127.0.0.1 port=%s user=%s password='%s'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
user = postgres
auth_type = any
pool_mode = %s
default_pool_size = %d
%s
`, database.Port(), database.User.Username(), secret, port, mode, connections, ignored[1]), addr)
		database.Host = addr
		query := database.Query()
		if execute != "" {
			query.Set("default_query_exec_mode", execute)
		}
		database.RawQuery = query.Encode()
		server := start(t, onServices("", database.String()))
		const users = 24
		var all [users]*visitor
		for i := range all {
			all[i] = newVisitor(t, server.URL)
		}
		var registering sync.WaitGroup
		for _, user := range all {
			registering.Go(func() {
				// A busy machine refuses some sign-ups at first, because their
				// passwords would wait too long.
				testkit.Eventually(t, answerLimit, "register "+user.email, func() error { return entered(user.trySignUp()) })
			})
		}
		registering.Wait()
		for _, user := range all {
			if err := greeted(user); err != nil {
				t.Error(err)
			}
		}
	})
}
