package main_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
)

// scrape sends one request, mostly to the metrics listener.
func scrape(t testing.TB, method, url string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(read)
}

// metricsAddress returns the address of the metrics that the server announced.
func metricsAddress(t testing.TB, server *testprocess.Server) string {
	t.Helper()
	found := regexp.MustCompile(`\n  metrics   (http://127\.0\.0\.1:[0-9]+/metrics)\n`)
	testkit.Eventually(t, answerLimit, "the address of the metrics", func() error {
		if !found.MatchString(server.Announcement()) {
			return fmt.Errorf("announced:\n%s", server.Announcement())
		}
		return nil
	})
	return found.FindStringSubmatch(server.Announcement())[1]
}

func TestMetricsAreOnTheirOwnListenerAndNothingElseIs(t *testing.T) {
	t.Parallel()
	server := start(t, testprocess.Settings{"METRICS_ADDR": "127.0.0.1:0"})
	at := metricsAddress(t, server)
	host := strings.TrimSuffix(at, "/metrics")
	for _, test := range []struct {
		method, url string
		status      int
	}{
		{"GET", at, 200},
		{"HEAD", at, 200},
		{"POST", at, 405},
		{"GET", host + "/", 404},
		{"GET", host + "/metrics/", 404},
		{"GET", host + "/login", 404},
		{"GET", host + "/debug/pprof/", 404},
		{"GET", server.URL + "/metrics", 404},
	} {
		if status, _ := scrape(t, test.method, test.url); status != test.status {
			t.Errorf("%s %s: %d, want %d", test.method, test.url, status, test.status)
		}
	}
	server.Stop()
	if conn, err := net.Dial("tcp", strings.TrimPrefix(host, "http://")); err == nil {
		conn.Close()
		t.Error("the listener of a stopped server takes connections")
	}
}

func TestMetricsTellTheLiveHeapAndCountRequestsByRoute(t *testing.T) {
	t.Parallel()
	server := start(t, testprocess.Settings{"METRICS_ADDR": "127.0.0.1:0"})
	at := metricsAddress(t, server)
	for _, ask := range []struct{ method, path string }{
		{"GET", "/login"}, {"GET", "/login?next=%2Fdevices"}, {"GET", "/nowhere/1"}, {"GET", "/nowhere/2"},
		{"BREW", "/login"}, {"STIR", "/nowhere/3"},
	} {
		scrape(t, ask.method, server.URL+ask.path)
	}
	_, said := scrape(t, "GET", at)
	for _, line := range []string{
		`go_gc_heap_live_bytes [1-9]`,
		`go_gc_cycles_total_gc_cycles_total [0-9]`,
		`go_goroutines [1-9]`,
		`holdfast_http_request_duration_seconds_count\{method="GET",route="/login",status="200"\} 2`,
		`holdfast_http_request_duration_seconds_count\{method="GET",route="",status="404"\} 2`,
		`holdfast_http_request_duration_seconds_count\{method="other",[^}]*status="405"\} 1`,
		`holdfast_http_request_duration_seconds_count\{method="other",route="",status="404"\} 1`,
	} {
		if !regexp.MustCompile(`(?m)^` + line).MatchString(said) {
			t.Errorf("no line %s", line)
		}
	}
	for _, word := range []string{"nowhere", "BREW", "devices"} {
		if strings.Contains(said, word) {
			t.Errorf("a request with the method %q adds lines to the metrics", word)
		}
	}
	if t.Failed() {
		t.Log(said)
	}
}
