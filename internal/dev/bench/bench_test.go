package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/alexedwards/scs/v2/memstore"

	"holdfast/internal/dev/require"
	"holdfast/internal/learn/stock"
	"holdfast/internal/visitor"
)

// The comparison renders the site's own templates. This test fails if they need a field
// that the comparison does not have.
func TestTheComparisonRendersTheProfile(t *testing.T) {
	pages, err := parseStockPages()
	require.NoError(t, err)
	server := httptest.NewServer(stock.New(stock.Options{Store: memstore.New(), Lifetime: time.Hour, Greet: greetWith(pages, time.Now())}))
	defer server.Close()
	v := visitor.New(server.URL)
	require.NoError(t, visitor.Sent(v.Post(t.Context(), "/login", url.Values{"name": {ada().Name}})))
	page, err := v.Get(t.Context(), "/profile")
	require.NoError(t, err)
	document, err := goquery.NewDocumentFromReader(bytes.NewReader(page.Body))
	require.NoError(t, err)
	if got, want := document.Find("h1").Text(), "Hello, "+ada().Name+"!"; got != want {
		t.Errorf("h1 is %q, want %q", got, want)
	}
	if n := document.Find("footer li").Length(); n < 3 {
		t.Errorf("the footer has %d entries: the page is not whole", n)
	}
}

func TestTheLimitSendsTheAnswerItWasGiven(t *testing.T) {
	file := filepath.Join(t.TempDir(), "job")
	text, err := json.Marshal(job{
		Header: http.Header{"Content-Length": {"5"}, "Date": {"Mon, 02 Jan 2006 15:04:05 GMT"}, "X-Thing": {"one"}}, Body: []byte("hello"),
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o600))
	got, err := readJob(file)
	require.NoError(t, err)
	if string(got.Body) != "hello" || got.Header.Get("X-Thing") != "one" || got.Header.Get("Content-Length") != "5" {
		t.Errorf("got %q with %v", got.Body, got.Header)
	}
	if got.Header.Get("Date") != "" {
		t.Error("the date of the copied answer was kept")
	}
}

func TestSpreadIsMedianLeastAndMost(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{9, 1, 4}, spread{4, 1, 9}},
		{[]float64{8, 2, 4, 1}, spread{3, 1, 8}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("spread of %v is %v, want %v", c.values, got, c.want)
		}
	}
}

func TestRatiosStayWithinARound(t *testing.T) {
	got := ratios([]float64{10, 30}, []float64{20, 10})
	if want := []float64{0.5, 3}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWhatABorrowedServerFailsOfIsReturned(t *testing.T) {
	l := &lab{folder: t.TempDir()}
	var order []int
	err := l.try(func() {
		l.Cleanup(func() { order = append(order, 1) })
		l.Cleanup(func() { order = append(order, 2) })
		l.Fatalf("no %s here", "redis-server")
	})
	if err == nil || err.Error() != "no redis-server here" {
		t.Errorf("got %v", err)
	}
	l.Errorf("left behind")
	if err := l.end(); err == nil || err.Error() != "left behind" || !slices.Equal(order, []int{2, 1}) {
		t.Errorf("end returned %v after clean-ups %v", err, order)
	}
}
