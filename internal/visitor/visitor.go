// Package visitor visits this program over HTTP as a browser does: it keeps cookies and
// fills in the forms of the pages it has loaded. It does not follow redirects.
//
// It owns the requests, what is read from a response, and the forms for registering,
// logging in and logging out. All it knows about the server is its addresses, the
// cookie's name, and how a token determines a key in Redis.
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
	requestLimit = 30 * time.Second // one request, including reading the response
	idleConns    = 16               // kept alive per server
)

// MaxBody is how many bytes of a response body are read. The rest is ignored.
const MaxBody = 1 << 20

// Person is a person who registers and logs in.
type Person struct{ Name, Email, Password string }

// Visitor is one person's browser. Its fields may be changed before the first use. It
// is safe for concurrent use.
type Visitor struct {
	Base   string      // the server's URL, such as "http://127.0.0.1:3000"
	Named  string      // the session cookie's name
	Header http.Header // sent with every request
	// Handed, if set, is called with each session token that a server sets.
	Handed func(token string)

	client *http.Client
}

// New returns a visitor without cookies, with its own connections.
func New(base string) *Visitor {
	// No proxy, since the server is on this machine. No compression, so that a body is
	// read as it was sent.
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: idleConns}
	return &Visitor{Base: base, Named: product.SessionCookie, client: &http.Client{
		Transport:     transport,
		Jar:           newJar(),
		Timeout:       requestLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Through sends v's requests through transport, such as one that reaches a server
// behind a proxy.
func (v *Visitor) Through(transport http.RoundTripper) { v.client.Transport = transport }

func newJar() *cookiejar.Jar {
	jar, _ := cookiejar.New(nil) // it cannot fail without options
	return jar
}

// At returns the same browser, with the same cookies, at another server. Cookies belong
// to a host, whatever the port.
func (v *Visitor) At(base string) *Visitor {
	other := *v
	other.Base = base
	return &other
}

// Stranger returns another browser, without cookies, that uses the same connections.
func (v *Visitor) Stranger() *Visitor {
	other, client := *v, *v.client
	client.Jar = newJar()
	other.client = &client
	return &other
}

// Close closes idle connections.
func (v *Visitor) Close() { v.client.CloseIdleConnections() }

// Request is an HTTP request to send.
type Request struct {
	Method, Path string
	Header       http.Header // sent in addition to the visitor's own; "Host" sets the host name of the request
	Form         url.Values  // the body; nil for none
}

// Answer is an HTTP response with its body.
type Answer struct {
	Status  string // "200 OK"
	Code    int
	Header  http.Header
	Body    []byte
	Cookies []*http.Cookie // that the response sets
	Took    time.Duration  // from sending the request to the end of the body
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
		r.Host = host // net/http sends this field, not the header
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

// Post sends a form without loading a page first.
func (v *Visitor) Post(ctx context.Context, path string, form url.Values) (Answer, error) {
	return v.Do(ctx, Request{Method: http.MethodPost, Path: path, Form: form})
}

// Submit opens a page, fills in its form for action and sends it. It returns an error
// if the page has no such form, or the form no such field.
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

// Register creates an account, which logs the visitor in.
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

// Sent returns nil if the response to a form redirects to the next page (303).
func Sent(a Answer, err error) error {
	if err == nil && a.Code != http.StatusSeeOther {
		err = fmt.Errorf("the server answered the form with %s, %q", a.Status, a.Heading())
	}
	return err
}

// Greeting returns the heading of the page that greets, or "" if the server redirects
// to the login page.
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

// Token returns the value of the session cookie, or "".
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

// Cookie returns the session cookie as a request sends it.
func (v *Visitor) Cookie() string { return v.Named + "=" + v.Token() }

// Take puts a session cookie with this token into the browser.
func (v *Visitor) Take(token string) {
	if at, err := url.Parse(v.Base); err == nil {
		v.client.Jar.SetCookies(at, []*http.Cookie{{Name: v.Named, Value: token, Path: "/"}})
	}
}

// Key returns the Redis key of the session with this token.
func Key(token string) string {
	sum := sha256.Sum256([]byte(token))
	return product.SessionKeys + base64.RawURLEncoding.EncodeToString(sum[:])
}
