package stock_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2/memstore"

	"holdfast/internal/dev/require"
	"holdfast/internal/learn/stock"
	"holdfast/internal/visitor"
)

func TestTheStockSetUpLogsInGreetsAndLogsOut(t *testing.T) {
	waited := ""
	server := httptest.NewServer(stock.New(stock.Options{
		Store: memstore.NewWithCleanupInterval(0), Lifetime: time.Minute,
		SlowPath: "/slow", Slow: func(_ context.Context, wait string) error { waited = wait; return nil },
	}))
	t.Cleanup(server.Close)
	v := visitor.New(server.URL)
	t.Cleanup(v.Close)
	ask := func(method, path string, form url.Values) visitor.Answer {
		t.Helper()
		a, err := v.Do(t.Context(), visitor.Request{Method: method, Path: path, Form: form})
		require.NoError(t, err)
		return a
	}
	expect := func(a visitor.Answer, code int, body string) {
		t.Helper()
		if a.Code != code || body != "" && string(a.Body) != body {
			t.Errorf("answered %s %q, want %d %q", a.Status, a.Body, code, body)
		}
	}
	expect(ask("GET", "/profile", nil), http.StatusSeeOther, "")
	expect(ask("POST", "/slow", url.Values{"wait": {"5"}}), http.StatusSeeOther, "")
	expect(ask("POST", "/session", url.Values{"key": {"colour"}, "value": {"green"}}), http.StatusSeeOther, "")
	expect(ask("GET", "/session", nil), http.StatusOK, "{\"colour\":\"green\"}\n")
	guest := v.Token()
	expect(ask("POST", "/login", url.Values{"name": {"Ada"}}), http.StatusSeeOther, "")
	if v.Token() == guest || v.Token() == "" {
		t.Error("the login kept the token")
	}
	expect(ask("GET", "/profile", nil), http.StatusOK, "Hello, Ada!")
	expect(ask("POST", "/slow", url.Values{"wait": {"5"}}), http.StatusNoContent, "")
	if waited != "5" {
		t.Errorf("a slow request waited for %q", waited)
	}
	member := v.Token()
	expect(ask("POST", "/logout", url.Values{}), http.StatusSeeOther, "")
	v.Take(member)
	expect(ask("GET", "/profile", nil), http.StatusSeeOther, "")
}
