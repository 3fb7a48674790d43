package main_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testkit/chromium"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/product"
)

// stepLimit is how long one step in the browser may take.
const stepLimit = time.Minute

// browser is a person's Chromium, with one tab.
type browser struct {
	t   testing.TB
	ctx context.Context
	end func() error // closes the browser and writes the profile; nil if the browser is shared

	mu       sync.Mutex
	problems []string // errors and warnings in the console
}

// browse opens a browser without cookies, storage or cache.
func browse(t testing.TB) *browser {
	t.Helper()
	b := &browser{t: t}
	b.ctx = chromium.Tab(t, b.listen)
	return b
}

// browseIn opens a browser with its profile in folder. The profile outlives the
// browser.
func browseIn(t testing.TB, folder string) *browser {
	t.Helper()
	program := testservice.Program(t, chromium.Programs()...)
	tab, end, err := chromium.Start(t.Context(), program, folder)
	require.NoError(t, err)
	b := &browser{t: t, ctx: tab, end: sync.OnceValue(end)}
	t.Cleanup(func() { _ = b.end() }) // if the test failed before it closed the browser
	return b
}

// listen collects errors and warnings from the console.
func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			b.problems = append(b.problems, fmt.Sprintf("console.%s", e.Type))
		}
	case *log.EventEntryAdded:
		// The browser may request the icon at any time, even while the test has no
		// server running.
		if strings.HasSuffix(e.Entry.URL, "/favicon.ico") && strings.Contains(e.Entry.Text, "net::") {
			return
		}
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.problems = append(b.problems, fmt.Sprintf("%s: %s (%s)", e.Entry.Level, e.Entry.Text, e.Entry.URL))
		}
	}
}

// quiet fails the test if there were errors or warnings in the console.
func (b *browser) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, problem := range b.problems {
		b.t.Errorf("in the console: %s", problem)
	}
}

// try runs one action in the tab and returns its result.
func try[T any](b *browser, action chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, stepLimit)
	defer cancel()
	return chromedp.Run(ctx, action)
}

// ask evaluates a JavaScript expression in the page.
func ask[T any](b *browser, expression string) T {
	b.t.Helper()
	value, err := try(b, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v (at %s)", expression, err, b.where())
	}
	return value
}

// call sends a command of the DevTools protocol to the tab.
func call[P, R any](b *browser, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepLimit)
	defer cancel()
	result, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.t.Fatalf("%s: %v (at %s)", command.Method, err, b.where())
	}
	return result
}

// do runs steps, each an action of the user.
func (b *browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepLimit)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v (at %s)", what, err, b.where())
	}
}

func (b *browser) where() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	at, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil {
		return err.Error()
	}
	return at
}

// sees waits until the page has this heading. While the next page loads, there may be
// none.
func (b *browser) sees(heading, when string) {
	b.t.Helper()
	testkit.Eventually(b.t, stepLimit, when, func() error {
		got, err := try(b, chromedp.Evaluate[string](`document.querySelector("h1")?.textContent ?? ""`))
		if err == nil && got != heading {
			err = fmt.Errorf("the heading is %q, want %q (at %s)", got, heading, b.where())
		}
		return err
	})
}

func (b *browser) register(server *testprocess.Server, name, email string) {
	b.t.Helper()
	b.do("register",
		chromedp.Navigate(server.URL+"/"),
		chromedp.Click(chromedp.CSS(`main a[href="/register"]`)),
		chromedp.WaitVisible(chromedp.CSS("#name")),
		chromedp.SetValue(chromedp.CSS("#name"), name),
		chromedp.SetValue(chromedp.CSS("#email"), email),
		chromedp.SetValue(chromedp.CSS("#password"), password),
		chromedp.Click(chromedp.CSS("main form .button")),
		chromedp.WaitVisible(chromedp.CSS(".greeting h1")),
	)
}

// fillIn fills in the login form, without sending it.
func (b *browser) fillIn(email, password string) {
	b.t.Helper()
	b.do("fill in the form", chromedp.SetValue(chromedp.CSS("#email"), email), chromedp.SetValue(chromedp.CSS("#password"), password))
}

func (b *browser) logIn(server *testprocess.Server, email string, remember bool) {
	b.t.Helper()
	b.do("open the form", chromedp.Navigate(server.URL+"/login"))
	b.fillIn(email, password)
	if remember {
		b.click("#remember")
	}
	b.click("main form .button")
	b.do("log in", chromedp.WaitVisible(chromedp.CSS(".greeting h1")))
}

func (b *browser) logOut() {
	b.t.Helper()
	b.do("log out",
		chromedp.Click(chromedp.CSS(`header form[action="/logout"] button`)),
		chromedp.WaitVisible(chromedp.CSS("#email")))
}

// sessionCookie returns the browser's session cookie for the site, or nil.
func (b *browser) sessionCookie(server *testprocess.Server) *network.Cookie {
	b.t.Helper()
	for _, cookie := range call(b, network.GetCookies, network.GetCookiesParams{URLs: []string{server.URL}}).Cookies {
		if cookie.Name == product.SessionCookie {
			return cookie
		}
	}
	return nil
}

// close closes the browser as its user would, so that it writes its profile.
func (b *browser) close() {
	b.t.Helper()
	if err := b.end(); err != nil {
		b.t.Fatalf("close Chromium: %v", err)
	}
}

// scripted reports whether the login page has the button that only a script can add.
func (b *browser) scripted() bool {
	b.t.Helper()
	buttons, err := try(b, chromedp.Nodes(chromedp.CSSAll("button.show"), chromedp.AtLeast(0)))
	if err != nil {
		b.t.Fatalf("look for the show-password button: %v", err)
	}
	return len(buttons) > 0
}

// back goes back one page, as the Back button does. A page from the back/forward cache
// returns without loading, so back checks the position in the history.
func (b *browser) back() {
	b.t.Helper()
	before, err := try(b, chromedp.NavigationEntries())
	if err != nil || before.CurrentIndex < 1 {
		b.t.Fatalf("nothing to go back to: %d, %v", before.CurrentIndex, err)
	}
	call(b, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: before.Entries[before.CurrentIndex-1].ID})
	testkit.Eventually(b.t, stepLimit, "go back", func() error {
		now, err := try(b, chromedp.NavigationEntries())
		if err != nil {
			return err
		}
		if now.CurrentIndex != before.CurrentIndex-1 {
			return fmt.Errorf("at place %d of the history", now.CurrentIndex)
		}
		state, err := try(b, chromedp.Evaluate[string]("document.readyState"))
		if err == nil && state != "complete" {
			err = errors.New(state)
		}
		return err
	})
}
