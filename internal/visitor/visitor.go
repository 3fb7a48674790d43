// Package visitor visits this program over HTTP as a person's browser does: it
// keeps cookies, fills in the forms that a page has just served, and does not
// follow redirects by itself.
//
// It owns the requests, what is read out of an answer, and the forms for
// registering, logging in and logging out. All it knows of the server are its
// addresses, the cookie's name, and how a key in Redis is made of a token.
package visitor

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"holdfast/internal/product"
)

const (
	keyPrefix    = product.SessionKeys
	requestLimit = 30 * time.Second // one request, its answer read
	idleConns    = 16               // kept alive to one server
)

// MaxBody is how many bytes of an answer are read; what follows is left.
const MaxBody = 1 << 20

// Person is who registers and logs in.
type Person struct{ Name, Email, Password string }

// Visitor is one person's browser. Its fields may be changed before it is used;
// it is safe for concurrent use.
type Visitor struct {
	Base   string      // of the server, as "http://127.0.0.1:3000"
	Named  string      // the session cookie's name
	Header http.Header // sent with every request
	// Handed, if set, is called with each session token that a server has set.
	Handed func(token string)

	client *http.Client
}

// New returns a visitor without cookies, with its own connections.
func New(base string) *Visitor {
	// No proxy: the server is on this machine. What travels is what is read.
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: idleConns}
	return &Visitor{Base: base, Named: product.SessionCookie, client: &http.Client{
		Transport:     transport,
		Jar:           newJar(),
		Timeout:       requestLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Through sends the requests of v through transport, as one that reaches the
// server behind a proxy.
func (v *Visitor) Through(transport http.RoundTripper) { v.client.Transport = transport }

func newJar() *cookiejar.Jar {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // it fails for no options
	}
	return jar
}

// At is the same browser, with the same cookies, at another server: cookies
// know hosts and no ports.
func (v *Visitor) At(base string) *Visitor {
	other := *v
	other.Base = base
	return &other
}

// Stranger is another browser, without cookies, over the same connections.
func (v *Visitor) Stranger() *Visitor {
	other, client := *v, *v.client
	client.Jar = newJar()
	other.client = &client
	return &other
}

// Close closes the connections that wait for a next request.
func (v *Visitor) Close() { v.client.CloseIdleConnections() }

// Request is one to send.
type Request struct {
	Method, Path string
	Header       http.Header // sent besides the visitor's own; "Host" is what the server is called
	Form         url.Values  // the body; nil for none
}

// Answer is what came back, read to its end.
type Answer struct {
	Status  string // "200 OK"
	Code    int
	Header  http.Header
	Body    []byte
	Cookies []*http.Cookie // that it sets
	Took    time.Duration  // from sending to the end of the body
}

// Do sends one request.
func (v *Visitor) Do(ctx context.Context, q Request) (Answer, error) {
	var body io.Reader
	if q.Form != nil {
		body = strings.NewReader(q.Form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, q.Method, v.Base+q.Path, body)
	if err != nil {
		return Answer{}, err
	}
	if q.Form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, header := range []http.Header{v.Header, q.Header} {
		for name, values := range header {
			r.Header[name] = values
		}
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host // net/http sends this one
	}
	began := time.Now()
	response, err := v.client.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	a := Answer{Status: response.Status, Code: response.StatusCode, Header: response.Header, Cookies: response.Cookies()}
	for _, cookie := range a.Cookies {
		if v.Handed != nil && cookie.Name == v.Named && cookie.Value != "" {
			v.Handed(cookie.Value)
		}
	}
	a.Body, err = io.ReadAll(io.LimitReader(response.Body, MaxBody))
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: read the answer: %w", q.Method, q.Path, err)
	}
	a.Took = time.Since(began)
	return a, nil
}

// Get opens a page.
func (v *Visitor) Get(ctx context.Context, path string) (Answer, error) {
	return v.Do(ctx, Request{Method: http.MethodGet, Path: path})
}

// Post sends a form that no page need have served.
func (v *Visitor) Post(ctx context.Context, path string, form url.Values) (Answer, error) {
	return v.Do(ctx, Request{Method: http.MethodPost, Path: path, Form: form})
}

// Submit opens a page, fills in its form to action and sends it. It is an error
// when the page has no such form, or the form no such field.
func (v *Visitor) Submit(ctx context.Context, page, action string, fill map[string]string) (Answer, error) {
	served, err := v.Get(ctx, page)
	if err != nil {
		return Answer{}, err
	}
	form, err := served.Form(action)
	if err != nil {
		return Answer{}, fmt.Errorf("GET %s: %w", page, err)
	}
	for name, value := range fill {
		if !form.Has(name) {
			return Answer{}, fmt.Errorf("GET %s: the form to %s has no field %q", page, action, name)
		}
		form.Set(name, value)
	}
	return v.Post(ctx, action, form)
}

// Register makes an account and is logged in.
func (v *Visitor) Register(ctx context.Context, p Person) error {
	return Sent(v.Submit(ctx, "/register", "/register", map[string]string{"name": p.Name, "email": p.Email, "password": p.Password}))
}

// LogIn logs a registered person in.
func (v *Visitor) LogIn(ctx context.Context, p Person) error {
	return Sent(v.Submit(ctx, "/login", "/login", map[string]string{"email": p.Email, "password": p.Password}))
}

// LogOut logs out with the button that every page has.
func (v *Visitor) LogOut(ctx context.Context) error {
	return Sent(v.Submit(ctx, "/profile", "/logout", nil))
}

// SetPassword changes the password of p, who is logged in.
func (v *Visitor) SetPassword(ctx context.Context, p *Person, password string) error {
	err := Sent(v.Submit(ctx, "/account/password", "/account/password", map[string]string{"current": p.Password, "new": password}))
	if err == nil {
		p.Password = password
	}
	return err
}

// Sent is nil when the answer to a form leads on to the next page (303).
func Sent(a Answer, err error) error {
	if err == nil && a.Code != http.StatusSeeOther {
		err = fmt.Errorf("the server answered the form with %s, %q", a.Status, a.Heading())
	}
	return err
}

// Greeting is the heading of the page that greets; "" when the server does not
// know who is asking and wants a log-in.
func (v *Visitor) Greeting(ctx context.Context) (string, error) {
	a, err := v.Get(ctx, "/profile")
	switch {
	case err != nil:
		return "", err
	case a.Code == http.StatusSeeOther:
		return "", nil
	case a.Code != http.StatusOK || a.Heading() == "":
		return "", fmt.Errorf("GET /profile: %s, %q", a.Status, a.Heading())
	}
	return a.Heading(), nil
}

// Token is the value of the session cookie; "" for none.
func (v *Visitor) Token() string {
	at, err := url.Parse(v.Base)
	if err != nil {
		return ""
	}
	for _, cookie := range v.client.Jar.Cookies(at) {
		if cookie.Name == v.Named {
			return cookie.Value
		}
	}
	return ""
}

// Cookie is the session cookie as a request carries it.
func (v *Visitor) Cookie() string { return v.Named + "=" + v.Token() }

// Take puts a session cookie with this token into the browser.
func (v *Visitor) Take(token string) {
	if at, err := url.Parse(v.Base); err == nil {
		v.client.Jar.SetCookies(at, []*http.Cookie{{Name: v.Named, Value: token, Path: "/"}})
	}
}

// Key is where Redis keeps the session of a token.
func Key(token string) string {
	sum := sha256.Sum256([]byte(token))
	return keyPrefix + base64.RawURLEncoding.EncodeToString(sum[:])
}
