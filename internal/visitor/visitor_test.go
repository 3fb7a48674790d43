package visitor_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/visitor"
)

// site returns a visitor to a server that has one form, sets a session cookie, and
// shows what it received.
func site(t *testing.T) *visitor.Visitor {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /form", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `<h1>A <b>form</b></h1><form method=get action=/sent><input name=no></form>
<form method="POST" action="/sent"><input type=hidden name=next value=/here><input name=name value=old>
<input type=checkbox name=off value=1><input type=checkbox name=on value=1 checked>
<textarea name=text>a
b</textarea><button>Go</button></form>`)
	})
	mux.HandleFunc("POST /sent", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "t1", Path: "/"})
		http.Redirect(w, r, "/next?"+r.PostForm.Encode(), http.StatusSeeOther)
	})
	mux.HandleFunc("GET /who", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", r.Host, r.Header.Get("Cookie"), r.UserAgent())
	})
	mux.HandleFunc("GET /profile", func(w http.ResponseWriter, r *http.Request) {
		switch cookie, err := r.Cookie("session"); {
		case err != nil:
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		case cookie.Value == "down":
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, "<h1>Later</h1>")
		default:
			fmt.Fprint(w, "<h1>Hello!</h1>")
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	v := visitor.New(server.URL)
	t.Cleanup(v.Close)
	return v
}

func TestAServedFormIsSentAsABrowserSendsIt(t *testing.T) {
	v := site(t)
	var handed []string
	v.Handed = func(token string) { handed = append(handed, token) }
	a, err := v.Submit(t.Context(), "/form", "/sent", map[string]string{"name": "new"})
	require.NoError(t, visitor.Sent(a, err))
	to, err := url.Parse(a.Header.Get("Location"))
	if err != nil || a.Code != http.StatusSeeOther {
		t.Fatalf("%s to %s: a redirect is not followed", a.Status, a.Header.Get("Location"))
	}
	if got, want := to.RawQuery, "name=new&next=%2Fhere&on=1&text=a%0Ab"; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	if v.Token() != "t1" || len(handed) != 1 || handed[0] != "t1" {
		t.Errorf("token %q, handed %q", v.Token(), handed)
	}
}

func TestAMissingFormOrFieldIsAnError(t *testing.T) {
	v := site(t)
	if _, err := v.Submit(t.Context(), "/form", "/sent", map[string]string{"mail": "x"}); err == nil || !strings.Contains(err.Error(), `"mail"`) {
		t.Errorf("a field that is not there: %v", err)
	}
	if _, err := v.Submit(t.Context(), "/form", "/elsewhere", nil); err == nil || !strings.Contains(err.Error(), "/elsewhere") {
		t.Errorf("a form that is not there: %v", err)
	}
	if err := visitor.Sent(v.Get(t.Context(), "/form")); err == nil || !strings.Contains(err.Error(), "A form") {
		t.Errorf("the page again: %v", err)
	}
}

func TestCookiesStayWithTheirBrowser(t *testing.T) {
	v := site(t)
	v.Take("t2")
	v.Header = http.Header{"User-Agent": {"kelp"}}
	host := strings.TrimPrefix(v.Base, "http://")
	for what, c := range map[string]struct {
		who  *visitor.Visitor
		want string
	}{
		"the browser":              {v, host + " session=t2 kelp"},
		"the same at that address": {v.At(v.Base), host + " session=t2 kelp"},
		"a stranger":               {v.Stranger(), host + "  kelp"},
	} {
		a, err := c.who.Get(t.Context(), "/who")
		if err != nil || string(a.Body) != c.want {
			t.Errorf("%s says %q, %v; want %q", what, a.Body, err, c.want)
		}
	}
}

func TestAServerIsCalledAsTheRequestSays(t *testing.T) {
	a, err := site(t).Do(t.Context(), visitor.Request{Method: "GET", Path: "/who", Header: http.Header{"Host": {"login.example.org"}}})
	if err != nil || !strings.HasPrefix(string(a.Body), "login.example.org ") {
		t.Errorf("says %q, %v", a.Body, err)
	}
}

func TestAGreetingIsAHeadingOrNoneOrAnError(t *testing.T) {
	v := site(t)
	if got, err := v.Greeting(t.Context()); got != "" || err != nil {
		t.Errorf("a stranger is greeted %q, %v", got, err)
	}
	v.Take("t3")
	if got, err := v.Greeting(t.Context()); got != "Hello!" || err != nil {
		t.Errorf("a member is greeted %q, %v", got, err)
	}
	v.Take("down")
	if got, err := v.Greeting(t.Context()); got != "" || err == nil || !strings.Contains(err.Error(), "Later") {
		t.Errorf("with the store down: %q, %v", got, err)
	}
}
