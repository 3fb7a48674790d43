package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	visit "holdfast/internal/visitor"
)

// password is the password of every visitor in these tests. No log may contain it.
const password = "limpets 41 under wet basalt"

// answerLimit is how long a test waits for a response.
const answerLimit = time.Minute

var visitors atomic.Int64 // created so far; each has a different email address

// visitor is a person with a browser.
type visitor struct {
	*visit.Visitor
	t           testing.TB
	name, email string
}

func newVisitor(t testing.TB, base string) *visitor {
	t.Helper()
	v := &visitor{visit.New(base), t, "Ada", fmt.Sprintf("ada%d@example.org", visitors.Add(1))}
	t.Cleanup(v.Close)
	return v
}

// member returns a visitor who has just registered at server. From now on, the server's
// log must contain neither password nor token.
func member(t testing.TB, server *testprocess.Server) *visitor {
	t.Helper()
	v := newVisitor(t, server.URL)
	v.register()
	server.Keep(password)
	server.Keep(v.token())
	return v
}

// at returns the same person, with the same cookies, at another instance.
func (v *visitor) at(base string) *visitor {
	other := *v
	other.Visitor = v.At(base)
	return &other
}

// stranger returns the same person with another browser, without cookies.
func (v *visitor) stranger() *visitor {
	v.t.Helper()
	other := newVisitor(v.t, v.Base)
	other.name, other.email = v.name, v.email
	return other
}

// answer is a response with its parsed page.
type answer struct {
	visit.Answer
	page *goquery.Document
}

// text returns the text of the first element that matches.
func (a answer) text(selector string) string {
	return strings.TrimSpace(a.page.Find(selector).First().Text())
}

// fact returns what the page's definition list says about a term.
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

func parsed(a visit.Answer, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	page, err := goquery.NewDocumentFromReader(bytes.NewReader(a.Body))
	return answer{a, page}, err
}

// ask sends one request, with form as its body. It does not use the test's context,
// because tests send requests after they end, too.
func (v *visitor) ask(method, path string, form url.Values) (answer, error) {
	return parsed(v.Do(context.Background(), visit.Request{Method: method, Path: path, Form: form}))
}

func (v *visitor) get(path string) answer {
	v.t.Helper()
	got, err := v.ask("GET", path, nil)
	require.NoError(v.t, err)
	return got
}

// submit opens the page, fills in its form to action and sends it.
func (v *visitor) submit(page, action string, typed map[string]string) (answer, error) {
	return parsed(v.Submit(context.Background(), page, action, typed))
}

// send is submit, and fails the test unless the response redirects to the next page.
func (v *visitor) send(page, action string, typed map[string]string) {
	v.t.Helper()
	require.NoError(v.t, visit.Sent(v.Submit(context.Background(), page, action, typed)))
}

func (v *visitor) trySignUp() (answer, error) {
	return v.submit("/register", "/register", map[string]string{"name": v.name, "email": v.email, "password": password})
}

// signUp registers where that does not log in: where email is on.
func (v *visitor) signUp() {
	v.t.Helper()
	require.NoError(v.t, v.Register(context.Background(), visit.Person{Name: v.name, Email: v.email, Password: password}))
}

func (v *visitor) tryLogIn() (answer, error) {
	return v.submit("/login", "/login", map[string]string{"email": v.email, "password": password})
}

// entered returns nil if the response to a form logged the visitor in.
func entered(got answer, err error) error {
	if err != nil {
		return err
	}
	if to := got.Header.Get("Location"); got.Code != http.StatusSeeOther || to != "/profile" {
		return fmt.Errorf("status %d to %q, heading %q: not let in", got.Code, to, got.text("h1"))
	}
	return nil
}

// register signs up, again after a 503: on a busy machine a store may exceed its limit.
func (v *visitor) register() {
	v.t.Helper()
	v.enter("register", v.trySignUp)
}

// logIn logs in, again after a 503.
func (v *visitor) logIn() {
	v.t.Helper()
	v.enter("log in", v.tryLogIn)
}

func (v *visitor) enter(doing string, try func() (answer, error)) {
	v.t.Helper()
	testkit.Eventually(v.t, answerLimit, doing, func() error {
		got, err := try()
		if err == nil && got.Code == http.StatusServiceUnavailable {
			return errors.New(got.Status)
		}
		if err := entered(got, err); err != nil {
			v.t.Fatalf("%s: %v", doing, err)
		}
		return nil
	})
}

func (v *visitor) logOut() {
	v.t.Helper()
	require.NoError(v.t, v.tryLogOut())
}

func (v *visitor) tryLogOut() error {
	got, err := v.submit("/profile", "/logout", nil)
	if to := got.Header.Get("Location"); err == nil && (got.Code != http.StatusSeeOther || to != "/login") {
		err = fmt.Errorf("log out: %d to %q", got.Code, to)
	}
	return err
}

// token returns the value of this browser's session cookie.
func (v *visitor) token() string {
	v.t.Helper()
	token := v.Token()
	if token == "" {
		v.t.Fatal("no session cookie")
	}
	return token
}
