package web_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/dev/require"
	"holdfast/internal/session"
	"holdfast/internal/text"
)

// browser is one person's browser at the HTTP level: it keeps cookies and sends the
// headers that Chromium sends. It follows redirects only when asked to.
type browser struct {
	w      *world
	client *http.Client
	agent  string
}

const userAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"

func (w *world) browser() *browser {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	return &browser{w: w, agent: userAgent, client: &http.Client{
		Transport:     w.server.Client().Transport,
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// withMember is parallelWorld with a person, Ada, and the browser in which she is logged
// in.
func withMember(t *testing.T, at func(testing.TB) stores, o options) (*world, person, *browser) {
	t.Helper()
	w := parallelWorld(t, at, o)
	ada, b := w.newMember("Ada")
	return w, ada, b
}

// newMember creates an account, and returns the browser of its owner, who has logged in.
func (w *world) newMember(name string) (person, *browser) {
	w.t.Helper()
	p := w.person(name)
	return p, w.member(p)
}

// member returns the browser of someone who has logged in. Tests of the login itself
// use the form; this saves the others a password hash.
func (w *world) member(p person) *browser {
	w.t.Helper()
	sess, err := w.sessions.Load(w.t.Context(), "")
	require.NoError(w.t, err)
	sess.PrepareLogIn(session.Member{ID: p.id, Name: p.name}, text.Sender{UserAgent: userAgent, Address: "127.0.0.1"})
	require.NoError(w.t, w.sessions.Commit(sess))
	answer := httptest.NewRecorder()
	w.sessions.WriteCookie(answer, sess)
	b := w.browser()
	b.client.Jar.SetCookies(w.base, answer.Result().Cookies())
	w.secrets.add(b.token())
	return b
}

// get opens a page as if the user had typed its URL.
func (b *browser) get(path string) *answer {
	b.w.t.Helper()
	return b.send(http.MethodGet, path, "", "Sec-Fetch-Site: none")
}

const (
	urlencoded = "application/x-www-form-urlencoded"
	asJSON     = "Accept: application/json"
)

// json requests a page as a script of this site would.
func (b *browser) json(path string) *answer {
	b.w.t.Helper()
	return b.send(http.MethodGet, path, "", asJSON)
}

// post sends a form without loading its page, as a program does: without browser
// headers, and without the account field of a served form.
func (b *browser) post(path string, form url.Values) *answer {
	b.w.t.Helper()
	return b.postWith(path, form.Encode())
}

// postWith sends a form with these headers ("Name: value").
func (b *browser) postWith(path, body string, headers ...string) *answer {
	b.w.t.Helper()
	return b.send(http.MethodPost, path, body, append([]string{"Content-Type: " + urlencoded}, headers...)...)
}

// send sends a request with these headers ("Name: value") and those of the browser.
func (b *browser) send(method, path, body string, headers ...string) *answer {
	b.w.t.Helper()
	r := b.request(method, path, strings.NewReader(body))
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Accept" || name == "User-Agent" {
			r.Header.Del(name)
		}
		r.Header.Add(name, value)
	}
	return b.do(r)
}

// sameOrigin returns the headers that a browser sends with a form of this site.
func (w *world) sameOrigin() []string {
	return []string{"Origin: " + w.base.String(), "Sec-Fetch-Site: same-origin"}
}

// fieldSelector matches every form field that sends a value.
const fieldSelector = "input[name], textarea[name], select[name]"

func valueOf(field *goquery.Selection) string {
	switch goquery.NodeName(field) {
	case "textarea":
		return field.Text()
	case "select":
		return field.Find("option[selected]").AttrOr("value", field.Find("option").First().AttrOr("value", ""))
	}
	return field.AttrOr("value", "")
}

// submit fills in the form of page that matches selector, and sends it as a browser
// does: with the fields it has, their values, and only ticked boxes.
func (b *browser) submit(page *answer, selector string, fill map[string]string) *answer {
	b.w.t.Helper()
	form := page.doc().Find(selector)
	if form.Length() != 1 || !form.Is("form") {
		b.w.t.Fatalf("%s has %d forms %q", page.request.URL, form.Length(), selector)
	}
	if method := form.AttrOr("method", "get"); !strings.EqualFold(method, "post") {
		b.w.t.Fatalf("form %q is sent by %s", selector, method)
	}
	sent := url.Values{}
	left := len(fill)
	form.Find(fieldSelector).Each(func(_ int, input *goquery.Selection) {
		name := input.AttrOr("name", "")
		value, filled := fill[name]
		if filled {
			left--
		}
		switch input.AttrOr("type", "text") {
		case "checkbox":
			if _, ticked := input.Attr("checked"); ticked || filled {
				sent.Set(name, input.AttrOr("value", "on"))
			}
		case "hidden":
			sent.Set(name, input.AttrOr("value", ""))
		default:
			if !filled {
				value = valueOf(input)
			}
			sent.Set(name, value)
		}
	})
	if left != 0 {
		b.w.t.Fatalf("form %q of %s lacks a field of %v", selector, page.request.URL, fill)
	}
	return b.postWith(page.resolve(form.AttrOr("action", "")), sent.Encode(), b.w.sameOrigin()...)
}

// logIn opens the login page, with next unless it is "", and submits its form.
func (b *browser) logIn(p person, next string) *answer {
	b.w.t.Helper()
	path := "/login"
	if next != "" {
		path += "?next=" + url.QueryEscape(next)
	}
	return b.submit(b.get(path).want(http.StatusOK), "form[action='/login']", map[string]string{
		"email": p.email, "password": p.password,
	})
}

// register opens the registration page and submits its form.
func (b *browser) register(name, email, password string) *answer {
	b.w.t.Helper()
	return b.submit(b.get("/register").want(http.StatusOK), "form[action='/register']", map[string]string{
		"name": name, "email": email, "password": password,
	})
}

// logOut submits the form in the header of the profile page.
func (b *browser) logOut() *answer {
	b.w.t.Helper()
	return b.submit(b.get("/profile").want(http.StatusOK), "form[action='/logout']", nil).wantRedirect("/login")
}

// wantLoggedOut checks that none of these browsers is logged in.
func wantLoggedOut(browsers ...*browser) {
	for _, b := range browsers {
		b.w.t.Helper()
		b.get("/profile").wantRedirect("/login?next=%2Fprofile")
	}
}

// checked ends the URL to which a browser without cookies is redirected after a login.
// The login page checks that the cookie came back, and redirects again.
const checked = "&check=cookies"

// leadsTo returns where a redirect finally leads.
func (a *answer) leadsTo() string {
	to := a.header.Get("Location")
	if next, first := strings.CutSuffix(to, checked); first {
		to, _ = url.QueryUnescape(strings.TrimPrefix(next, "/login?next="))
	}
	return to
}

// follow opens the page that a redirect leads to.
func (b *browser) follow(from *answer) *answer {
	b.w.t.Helper()
	if from.status != http.StatusSeeOther {
		b.w.t.Fatalf("%s %s answered %d, which leads nowhere", from.request.Method, from.request.URL, from.status)
	}
	return b.get(from.resolve(from.leadsTo()))
}

// token returns the session cookie's value, "" if there is none.
func (b *browser) token() string {
	for _, cookie := range b.client.Jar.Cookies(b.w.base) {
		if cookie.Name == b.w.sessions.CookieName() {
			return cookie.Value
		}
	}
	return ""
}

func (b *browser) request(method, path string, body io.Reader) *http.Request {
	b.w.t.Helper()
	r, err := http.NewRequestWithContext(b.w.t.Context(), method, b.w.base.String()+path, body)
	require.NoError(b.w.t, err)
	r.Header.Set("User-Agent", b.agent)
	r.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	return r
}

// do sends r and checks what must be true of every response.
func (b *browser) do(r *http.Request) *answer {
	b.w.t.Helper()
	response, err := b.client.Do(r)
	if err != nil {
		b.w.t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(b.w.t, err)
	a := &answer{t: b.w.t, request: r, status: response.StatusCode, header: response.Header, body: body, cookies: response.Cookies()}
	for _, cookie := range a.cookies {
		b.w.secrets.add(cookie.Value)
	}
	a.hold(b.w)
	return a
}

// bare sends a request with only these headers ("Name: value"), and keeps no cookies.
func (w *world) bare(method, path, body string, headers ...string) *answer {
	w.t.Helper()
	b := w.browser()
	b.client.Jar = nil
	return b.send(method, path, body, headers...)
}

// answer is a response, with its whole body read.
type answer struct {
	t       testing.TB
	request *http.Request
	status  int
	header  http.Header
	cookies []*http.Cookie
	body    []byte
	parsed  *goquery.Document
}

func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s %s answered %d, want %d\n%.2000s", a.request.Method, a.request.URL, a.status, status, a.body)
	}
	return a
}

func (a *answer) wantRedirect(location string) *answer {
	a.t.Helper()
	a.want(http.StatusSeeOther)
	if got := a.leadsTo(); got != location {
		a.t.Fatalf("%s %s leads to %q, want %q", a.request.Method, a.request.URL, got, location)
	}
	return a
}

// wantNoCookie checks that the response sets no cookies.
func (a *answer) wantNoCookie() *answer {
	a.t.Helper()
	if len(a.cookies) != 0 {
		a.fault("it sets cookies: %v", a.header["Set-Cookie"])
	}
	return a
}

func (a *answer) doc() *goquery.Document {
	a.t.Helper()
	if a.parsed == nil {
		doc, err := goquery.NewDocumentFromReader(bytes.NewReader(a.body))
		if err != nil {
			a.t.Fatalf("parse %s: %v", a.request.URL, err)
		}
		a.parsed = doc
	}
	return a.parsed
}

// text returns the text of everything that selector finds, with spaces as a reader sees
// them.
func (a *answer) text(selector string) string {
	a.t.Helper()
	return strings.Join(strings.Fields(a.doc().Find(selector).Text()), " ")
}

// texts returns the text of each element that selector finds.
func (a *answer) texts(selector string) []string {
	a.t.Helper()
	return a.doc().Find(selector).Map(func(_ int, s *goquery.Selection) string {
		return strings.Join(strings.Fields(s.Text()), " ")
	})
}

func (a *answer) wantText(selector, want string) *answer {
	a.t.Helper()
	if got := a.text(selector); got != want {
		a.fault("%q says %q, want %q", selector, got, want)
	}
	return a
}

// wantPart checks that the text of everything that selector finds contains part.
func (a *answer) wantPart(selector, part string) *answer {
	a.t.Helper()
	if got := a.text(selector); !strings.Contains(got, part) {
		a.fault("%q says %q, want %q in it", selector, got, part)
	}
	return a
}

// wantNoPart checks that the text of everything that selector finds lacks part.
func (a *answer) wantNoPart(selector, part string) *answer {
	a.t.Helper()
	if got := a.text(selector); strings.Contains(got, part) {
		a.fault("%q says %q, with %q in it", selector, got, part)
	}
	return a
}

func (a *answer) count(selector string) int { return a.doc().Find(selector).Length() }

// wantCount checks how many elements selector finds.
func (a *answer) wantCount(selector string, want int) *answer {
	a.t.Helper()
	if got := a.count(selector); got != want {
		a.fault("%d of %q, want %d", got, selector, want)
	}
	return a
}

// value returns what the field that selector finds is filled with.
func (a *answer) value(selector string) string { return a.doc().Find(selector).AttrOr("value", "") }

func (a *answer) wantValue(selector, want string) *answer {
	a.t.Helper()
	if got := a.value(selector); got != want {
		a.fault("the field %q has %q, want %q", selector, got, want)
	}
	return a
}

func (a *answer) wantHeader(name, want string) *answer {
	a.t.Helper()
	if got := a.header.Get(name); got != want {
		a.fault("header %s is %q, want %q", name, got, want)
	}
	return a
}

// notices returns the flash messages under the header.
func (a *answer) notices() []string {
	a.t.Helper()
	return a.texts("[role=status] .notice")
}

// wantNotices checks that the page shows these flash messages and no others.
func (a *answer) wantNotices(want ...string) *answer {
	a.t.Helper()
	if got := a.notices(); !slices.Equal(got, want) {
		a.fault("the notices are %q, want %q", got, want)
	}
	return a
}

// wantNotice checks that the page shows one flash message, which begins like this.
func (a *answer) wantNotice(begins string) *answer {
	a.t.Helper()
	if got := a.notices(); len(got) != 1 || !strings.HasPrefix(got[0], begins) {
		a.fault("the notices are %q, want %q", got, begins)
	}
	return a
}

// cookie returns the only cookie with this name that the response sets.
func (a *answer) cookie(name string) *http.Cookie {
	a.t.Helper()
	i := slices.IndexFunc(a.cookies, func(c *http.Cookie) bool { return c.Name == name })
	if i < 0 || slices.ContainsFunc(a.cookies[i+1:], func(c *http.Cookie) bool { return c.Name == name }) {
		a.t.Fatalf("%s %s: want one cookie %q, got %q", a.request.Method, a.request.URL, name, a.header["Set-Cookie"])
	}
	return a.cookies[i]
}

// resolve resolves a URL relative to the page.
func (a *answer) resolve(address string) string {
	a.t.Helper()
	target, err := a.request.URL.Parse(address)
	if err != nil || target.Host != a.request.URL.Host {
		a.t.Fatalf("%s points to %q (%v)", a.request.URL, address, err)
	}
	return target.RequestURI()
}
