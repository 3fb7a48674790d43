package web_test

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/labstack/echo/v4"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/product"
	"holdfast/internal/session"
)

// TestAForwardedAddressIsBelievedFromTrustedProxiesOnly: the request comes from this
// machine, which counts as a proxy only if it is listed as one.
func TestAForwardedAddressIsBelievedFromTrustedProxiesOnly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ trusted, forwarded, want string }{
		{"", "203.0.113.9", "127.0.0.1"},
		{"10.9.8.0/24", "203.0.113.9", "127.0.0.1"},
		{"127.0.0.1/32", "203.0.113.9", "203.0.113.9"},
		{"127.0.0.1/32", "203.0.113.9, 192.168.1.7", "192.168.1.7"},
		{"127.0.0.1/32", "203.0.113.9, 10.1.2.3", "10.1.2.3"},
		{"127.0.0.1/32", "203.0.113.9, 127.0.0.5", "127.0.0.5"},
		{"127.0.0.1/32", "203.0.113.9, 169.254.1.1", "169.254.1.1"},
		{"127.0.0.1/32", "203.0.113.7:51312", "203.0.113.7"},
		{"127.0.0.1/32", "198.51.100.1, [2001:db8::1]:443", "2001:db8::1"},
		{"127.0.0.1/32", "[2001:db8::1]", "2001:db8::1"},
		{"127.0.0.1/32", "203.0.113.7,", "203.0.113.7"},
		{"127.0.0.1/32", "203.0.113.7, ,unknown", "203.0.113.7"},
		{"127.0.0.0/8", "203.0.113.7, 127.0.0.9:80", "203.0.113.7"},
		{"127.0.0.1/32", ",", "127.0.0.1"},
	} {
		o := options{}
		if c.trusted != "" {
			o.trusted = []netip.Prefix{netip.MustParsePrefix(c.trusted)}
		}
		w := newWorld(t, embedded(t), o)
		ada := w.person("Ada")
		w.browser().postWith("/login", credentials(ada.email, ada.password).Encode(), "X-Forwarded-For: "+c.forwarded).wantRedirect("/profile")
		devices, err := w.sessions.Devices(t.Context(), ada.id)
		if err != nil || len(devices) != 1 || devices[0].Address != c.want {
			t.Errorf("trusting %q, %q came from %+v, %v; want %s", c.trusted, c.forwarded, devices, err, c.want)
		}
	}
}

func TestJSONIsNotKeptAndTellsNoCause(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	const cause = "the cause, which is not for the page"
	w.site.AddPage("/test/fails", func(echo.Context, *session.Session) error { return fmt.Errorf("%s", cause) })
	b := w.member(w.person("Ada"))
	for path, status := range map[string]int{"/session": 200, "/test/fails": 500, "/nowhere": 404} {
		page := b.json(path).want(status).wantHeader("Cache-Control", "no-store")
		if !strings.HasPrefix(page.header.Get("Content-Type"), "application/json") {
			t.Errorf("%s: %v", path, page.header)
		}
		if strings.Contains(string(page.body), cause) {
			t.Errorf("%s tells %s", path, page.body)
		}
	}
}

// TestALogOutHappensAlsoWhenItsSenderHasGone: Redis delays the deletion until the
// browser has closed its connection.
func TestALogOutHappensAlsoWhenItsSenderHasGone(t *testing.T) {
	w := parallelWorld(t, privateServices, options{})
	ada, b := w.newMember("Ada")
	token := b.token()
	w.holdWrites()
	conn, err := net.Dial("tcp", w.base.Host)
	require.NoError(t, err)
	fmt.Fprintf(conn, "POST /logout HTTP/1.1\r\nHost: %s\r\nCookie: %s=%s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n", w.base.Host, product.SessionCookie, token)
	testkit.Eventually(w.t, testkit.Patience, "held up in Redis", func() error {
		if info := w.do("INFO", "clients"); !strings.Contains(fmt.Sprintf("%s", info), "blocked_clients:1") {
			return fmt.Errorf("%s", info)
		}
		return nil
	})
	conn.Close()
	w.goOn()
	testkit.Eventually(w.t, testkit.Patience, "logged out", func() error {
		past, err := w.db.Devices().Past(t.Context(), ada.id, session.Device{}, 0, 10)
		if err == nil && (len(past) != 1 || past[0].RevokeReason != session.RevokedByLogOut) {
			err = fmt.Errorf("past devices %+v", past)
		}
		return err
	})
	wantLoggedOut(b)
}

// TestAPostIsNeverMadeTwice: a parallel request of the same session has shown the
// notice that this one took.
func TestAPostIsNeverMadeTwice(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	var calls atomic.Int64
	var meanwhile func()
	w.site.AddPage("/test/takes", func(c echo.Context, whose *session.Session) error {
		if calls.Add(1) == 1 {
			meanwhile()
		}
		whose.TakeFlashes()
		return c.NoContent(http.StatusNoContent)
	})
	w.site.AddPage("/test/flash", func(c echo.Context, whose *session.Session) error {
		whose.Flash("once")
		return c.NoContent(http.StatusNoContent)
	})
	b := w.member(w.person("Ada"))
	meanwhile = func() { b.get("/profile").want(http.StatusOK) }
	for method, want := range map[string]struct {
		calls  int64
		status int
	}{"GET": {2, http.StatusNoContent}, "POST": {1, http.StatusInternalServerError}} {
		b.post("/test/flash", nil).want(http.StatusNoContent)
		calls.Store(0)
		b.do(b.request(method, "/test/takes", nil)).want(want.status)
		if n := calls.Load(); n != want.calls {
			t.Errorf("%s was made %d times, want %d", method, n, want.calls)
		}
	}
}
