package attack

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/internal/learn/trace"
	"holdfast/internal/product"
	"holdfast/internal/visitor"
)

const (
	maxShown = 10  // exchanges of one trial that are kept
	maxLine  = 160 // characters of the line that is shown for each
)

// target is one server under attack, and what was sent to it.
type target struct {
	host, cookie string
	holds, falls string // why the attack fails or succeeds here
	victim       victim
	visitor      *visitor.Visitor

	mu     sync.Mutex
	sent   int
	shown  []Exchange
	tokens []string // that the server has issued
	err    error    // the first; after it nothing is sent
}

func newTarget(base, host, cookie string, v victim) *target {
	return &target{host: host, cookie: cookie, victim: v, visitor: visitor.New(base)}
}

// fail ends the attack without a result.
func (t *target) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
	}
}

func (t *target) failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// request is a request to send; without a note it is counted but not shown.
type request struct {
	note, method, path string
	token              string
	headers            []string // "Name: value"
	form               url.Values
}

// answer is what came back.
type answer struct {
	visitor.Answer
	token   string // newly set; "" for none
	touched bool   // the session cookie was set or cleared
}

// greeted reports whether the profile page was shown: the sender is logged in.
func (a answer) greeted() bool { return a.Code == http.StatusOK }

// send sends a request of the attack, unless the attack has failed.
func (t *target) send(ctx context.Context, q request) answer {
	if t.failed() != nil {
		return answer{}
	}
	a, err := t.do(ctx, q)
	if err != nil {
		t.fail(err)
	}
	return a
}

func (t *target) do(ctx context.Context, q request) (answer, error) {
	header := http.Header{"User-Agent": {product.Name + " lab"}}
	if t.host != "" {
		header.Set("Host", t.host)
	}
	for _, line := range q.headers {
		name, value, _ := strings.Cut(line, ": ")
		header.Set(name, value)
	}
	if q.token != "" {
		header.Set("Cookie", t.cookie+"="+q.token)
	}
	form := q.form
	if form == nil && q.method == http.MethodPost {
		form = url.Values{}
	}
	// A new browser for each request: the attack decides which cookie is sent.
	got, err := t.visitor.Stranger().Do(ctx, visitor.Request{Method: q.method, Path: q.path, Header: header, Form: form})
	if err != nil {
		return answer{}, err
	}
	return t.record(q, answer{Answer: got}), nil
}

// record counts the request, reads the session cookie from its answer and, if the
// request has a note, keeps both for the page.
func (t *target) record(q request, a answer) answer {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent++
	lines := []string{a.Status}
	if a.Took >= 100*time.Millisecond {
		lines[0] += fmt.Sprintf("   (after %.1f s)", a.Took.Seconds())
	}
	if wait := a.Header.Get("Retry-After"); wait != "" {
		lines = append(lines, "Retry-After: "+wait)
	}
	to := a.Header.Get("Location")
	if to != "" {
		lines = append(lines, "Location: "+trace.Hide(to))
	}
	for _, c := range a.Cookies {
		if c.Name != t.cookie {
			continue
		}
		a.touched, a.token = true, c.Value
		if c.Value != "" {
			t.tokens = append(t.tokens, c.Value)
		}
		lines = append(lines, "Set-Cookie: "+strings.Replace(c.Raw, "="+c.Value, "="+trace.Mask(c.Value).String(), 1))
	}
	if q.note == "" || len(t.shown) == maxShown {
		return a
	}
	if line := summary(string(a.Body)); line != "" && to == "" {
		lines = append(lines, "", line)
	}
	t.shown = append(t.shown, Exchange{Note: q.note, Request: t.words(q), Answer: strings.Join(lines, "\n")})
	return a
}

func (t *target) words(q request) string {
	lines := []string{q.method + " " + q.path}
	if q.token != "" {
		lines = append(lines, "Cookie: "+t.cookie+"="+trace.Mask(q.token).String())
	}
	lines = append(lines, q.headers...)
	if len(q.form) > 0 {
		var fields []string
		for name, values := range q.form {
			value := values[0]
			if name == "password" {
				value = "…"
			}
			fields = append(fields, name+"="+value)
		}
		slices.Sort(fields)
		lines = append(lines, "", strings.Join(fields, "&"))
	}
	return strings.Join(lines, "\n")
}

var heading = regexp.MustCompile(`<h1[^>]*>[^<]*</h1>`)

// summary returns the line of an answer that shows what happened: the heading of a
// page, or else the first line.
func summary(body string) string {
	line := heading.FindString(body)
	if line == "" {
		line, _, _ = strings.Cut(strings.TrimSpace(body), "\n")
	}
	if runes := []rune(line); len(runes) > maxLine {
		line = string(runes[:maxLine]) + "…"
	}
	return trace.Hide(strings.ToValidUTF8(line, "?"))
}

func (t *target) get(ctx context.Context, note, path, token string) answer {
	return t.send(ctx, request{note: note, method: http.MethodGet, path: path, token: token})
}

func (t *target) post(ctx context.Context, note, path, token string, form url.Values, headers ...string) answer {
	return t.send(ctx, request{note: note, method: http.MethodPost, path: path, token: token, form: form, headers: headers})
}

// logIn sends the victim's email address and password, with a cookie unless token is
// "", and returns the victim's token afterwards.
func (t *target) logIn(ctx context.Context, note, token string) string {
	a := t.post(ctx, note, "/login", token, t.victim.form())
	if a.Code != http.StatusSeeOther {
		t.fail(unclear(fmt.Sprintf("the victim could not log in: the server answered %d.", a.Code)))
	}
	return cmp.Or(a.token, token)
}

// known logs in and loads a page that greets the victim.
func (t *target) known(ctx context.Context, note string) string {
	token := t.logIn(ctx, note, "")
	a := t.get(ctx, "The cookie works: a page greets the victim by name.", "/profile", token)
	if !a.greeted() {
		t.fail(unclear(fmt.Sprintf("the victim was not greeted after logging in: the server answered %d.", a.Code)))
	}
	return token
}

func (t *target) logOut(ctx context.Context, note, token string) {
	a := t.post(ctx, note, "/logout", token, nil)
	if a.Code != http.StatusSeeOther {
		t.fail(unclear(fmt.Sprintf("the victim could not log out: the server answered %d.", a.Code)))
	}
}
