package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"holdfast/internal/dev/testservice"
	"holdfast/internal/product"
)

// BenchmarkProfileFromRedis is one whole request for the page that greets a
// person: everything but the network between browser and server.
func BenchmarkProfileFromRedis(b *testing.B) { benchProfile(b, false) }

// BenchmarkWatchedProfileFromRedis is the same with LEARN: what it costs to keep
// what was done for each request.
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

// discardedAnswer costs as little as a response writer can.
type discardedAnswer struct {
	header http.Header
	status int
}

func (d *discardedAnswer) Header() http.Header         { return d.header }
func (d *discardedAnswer) WriteHeader(status int)      { d.status = status }
func (d *discardedAnswer) Write(p []byte) (int, error) { return len(p), nil }
