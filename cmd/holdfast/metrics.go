package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"holdfast/internal/httpserver"
	"holdfast/internal/product"
)

// metricsTimeout bounds one scrape, and so how long it can delay the stop of the
// server.
const metricsTimeout = 5 * time.Second

// metrics counts requests and serves the counts to Prometheus on a separate
// listener, which should not be on the public network. A nil metrics counts nothing.
type metrics struct {
	at       string // the address to scrape
	requests *prometheus.HistogramVec
	server   *http.Server
}

// openMetrics serves /metrics and nothing else on METRICS_ADDR, if that is set.
func (s *server) openMetrics(ctx context.Context) error {
	addr := s.cfg.MetricsAddr
	if addr == "" {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen on METRICS_ADDR %s: %w", addr, err)
	}
	m := &metrics{
		at: "http://" + listener.Addr().String() + "/metrics",
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    product.Slug + "_http_request_duration_seconds",
			Help:    "HTTP request duration in seconds, by method, route pattern and status.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "route", "status"}),
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		m.requests,
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		// The live heap is what the program needs; the heap in use includes garbage.
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.GoRuntimeMetricsRule{
			Matcher: regexp.MustCompile(`^/gc/(heap/live:bytes|cycles/total:gc-cycles)$`),
		})),
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Timeout: metricsTimeout}))
	m.server = httpserver.Limited(mux, s.log)
	m.server.IdleTimeout = 2 * time.Minute // a scrape a minute keeps its connection
	go func() {
		if err := m.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("metrics listener failed", "cause", err)
		}
	}()
	s.metrics = m
	s.closeLater(m.close)
	return nil
}

// count counts one answered request. route is the pattern of its path, "" for
// an unknown one.
func (m *metrics) count(method, route string, status int, took time.Duration) {
	if m == nil {
		return
	}
	if method != http.MethodGet && method != http.MethodHead && method != http.MethodPost {
		method = "other" // a client may send any word
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
}

// close closes the listener; a scrape in progress may finish.
func (m *metrics) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), metricsTimeout)
	defer cancel()
	return errors.Join(m.server.Shutdown(ctx), m.server.Close())
}
