package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"holdfast/internal/dev/testservice"
	"holdfast/internal/product"
)

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
