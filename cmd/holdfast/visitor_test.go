package main_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/dev/testprocess"
	"holdfast/internal/product"
)

// password is one that every visitor of these tests has; no log may hold it.
const password = "limpets 41 under wet basalt"

// answerLimit is how long a visitor waits for any answer.
const answerLimit = 30 * time.Second

var visitors atomic.Int64 // so far; each has an e-mail of its own

// visitor is a person with a browser: it keeps cookies, sends the forms that a
// page has just served, and does not follow redirects.
type visitor struct {
	t           testing.TB
	base        string
	name, email string
	client      *http.Client
}

func newVisitor(t testing.TB, base string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 4}
	t.Cleanup(transport.CloseIdleConnections)
	return &visitor{
		t: t, base: base, name: "Ada",
		email: fmt.Sprintf("ada%d@example.org", visitors.Add(1)),
		client: &http.Client{
			Jar:           jar,
			Transport:     transport,
			Timeout:       answerLimit,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// member is a visitor who has just registered at this server, whose log may
// hold neither password nor token from now on.
func member(t testing.TB, server *testprocess.Server) *visitor {
	t.Helper()
	v := newVisitor(t, server.URL)
	v.register()
	server.Keep(password)
	server.Keep(v.token())
	return v
}

// at is the same person, with the same cookies, at another instance.
func (v *visitor) at(base string) *visitor {
	other := *v
	other.base = base
	return &other
}

// stranger is the same person with another browser, which has no cookies.
func (v *visitor) stranger() *visitor {
	v.t.Helper()
	other := newVisitor(v.t, v.base)
	other.name, other.email = v.name, v.email
	return other
}

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	page   *goquery.Document
	took   time.Duration
}

// text is the text of the first element that matches.
func (a answer) text(selector string) string {
	return strings.TrimSpace(a.page.Find(selector).First().Text())
}

// fact is what the definition list of a page says about a term.
func (a answer) fact(term string) string {
	said := ""
	a.page.Find("dt").EachWithBreak(func(_ int, dt *goquery.Selection) bool {
		if dt.Text() == term {
			said = strings.TrimSpace(dt.Next().Text())
		}
		return said == ""
	})
	return said
}

// ask sends one request; a form goes as its body.
func (v *visitor) ask(method, path string, form url.Values) (answer, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	request, err := http.NewRequest(method, v.base+path, body)
	if err != nil {
		return answer{}, err
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	started := time.Now()
	response, err := v.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	page, err := goquery.NewDocumentFromReader(response.Body)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return answer{response.StatusCode, response.Header, page, time.Since(started)}, nil
}

func (v *visitor) get(path string) answer {
	v.t.Helper()
	got, err := v.ask("GET", path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	return got
}

// fill is the form that leads to action on the page, with these values typed.
func (a answer) fill(action string, typed map[string]string) (url.Values, error) {
	form := a.page.Find(`form[method="post"][action="` + action + `"]`).First()
	if form.Length() == 0 {
		return nil, fmt.Errorf("status %d, heading %q: no form to %s", a.status, a.text("h1"), action)
	}
	values := url.Values{}
	form.Find("input[name]").Each(func(_ int, input *goquery.Selection) {
		if input.AttrOr("type", "text") != "checkbox" {
			values.Set(input.AttrOr("name", ""), input.AttrOr("value", ""))
		}
	})
	for name, value := range typed {
		if form.Find(`[name="`+name+`"]`).Length() == 0 {
			return nil, fmt.Errorf("the form to %s has no field %q", action, name)
		}
		values.Set(name, value)
	}
	return values, nil
}

// submit opens the page, fills in its form to action and sends it.
func (v *visitor) submit(page, action string, typed map[string]string) (answer, error) {
	got, err := v.ask("GET", page, nil)
	if err != nil {
		return answer{}, err
	}
	form, err := got.fill(action, typed)
	if err != nil {
		return answer{}, err
	}
	return v.ask("POST", action, form)
}

func (v *visitor) trySignUp() (answer, error) {
	return v.submit("/register", "/register", map[string]string{"name": v.name, "email": v.email, "password": password})
}

func (v *visitor) tryLogIn() (answer, error) {
	return v.submit("/login", "/login", map[string]string{"email": v.email, "password": password})
}

// entered is nil when the answer to a form let the visitor in.
func entered(got answer, err error) error {
	if err != nil {
		return err
	}
	if to := got.header.Get("Location"); got.status != http.StatusSeeOther || to != "/profile" {
		return fmt.Errorf("status %d to %q, heading %q: not let in", got.status, to, got.text("h1"))
	}
	return nil
}

func (v *visitor) register() {
	v.t.Helper()
	if err := entered(v.trySignUp()); err != nil {
		v.t.Fatalf("register: %v", err)
	}
}

func (v *visitor) logIn() {
	v.t.Helper()
	if err := entered(v.tryLogIn()); err != nil {
		v.t.Fatalf("log in: %v", err)
	}
}

func (v *visitor) logOut() {
	v.t.Helper()
	got, err := v.submit("/profile", "/logout", nil)
	if err != nil || got.status != http.StatusSeeOther || got.header.Get("Location") != "/login" {
		v.t.Fatalf("log out: %d to %q, %v", got.status, got.header.Get("Location"), err)
	}
}

// token is the value of the session cookie that this browser holds.
func (v *visitor) token() string {
	v.t.Helper()
	at, err := url.Parse(v.base)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, cookie := range v.client.Jar.Cookies(at) {
		if cookie.Name == product.SessionCookie {
			return cookie.Value
		}
	}
	v.t.Fatal(errors.New("no session cookie"))
	return ""
}
