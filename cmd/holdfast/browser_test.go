package main_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"holdfast/internal/testprocess"
	"holdfast/internal/testservice"
)

// stepLimit is how long one step in the browser may take.
const stepLimit = 30 * time.Second

// browser is a headless Chromium with one tab and a profile folder.
type browser struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	problems []string // what the console called an error
}

// browse opens Chromium with its profile in folder, which outlives it.
func browse(t testing.TB, folder string) *browser {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(testservice.Program(t, "chromium", "chromium-browser", "google-chrome")),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.UserDataDir(folder), chromedp.WindowSize(1000, 900),
	}
	for _, flag := range []string{
		"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync",
		"disable-dev-shm-usage", "disable-extensions", "disable-breakpad",
	} {
		options = append(options, chromedp.Flag(flag, true))
	}
	allocator, release := chromedp.NewExecAllocator(t.Context(), options...)
	b := &browser{t: t}
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithListener(b.listen))
	t.Cleanup(func() {
		cancel()
		release()
	})
	b.ctx = ctx
	return b
}

// listen collects what a person would find red in the console.
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
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.problems = append(b.problems, fmt.Sprintf("%s: %s (%s)", e.Entry.Level, e.Entry.Text, e.Entry.URL))
		}
	}
}

// quiet checks that no page had anything to complain about.
func (b *browser) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, problem := range b.problems {
		b.t.Errorf("in the console: %s", problem)
	}
}

// do takes steps, each a thing that a person does.
func (b *browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepLimit)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v (at %s)", what, err, b.where())
	}
}

// first begins the browser with steps that outlast the limit of one step.
func (b *browser) first(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("start Chromium: %v", err)
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

// heading is the text of the page's h1.
func (b *browser) heading() string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepLimit)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.TextContent(chromedp.CSS("h1")))
	if err != nil {
		b.t.Fatalf("read the heading: %v", err)
	}
	return text
}

// sees waits until the page's heading is this one.
func (b *browser) sees(heading, when string) {
	b.t.Helper()
	testprocess.Eventually(b.t, stepLimit, when, func() error {
		if got := b.heading(); got != heading {
			return fmt.Errorf("the heading is %q, want %q (at %s)", got, heading, b.where())
		}
		return nil
	})
}

func (b *browser) register(server *testprocess.Server, name, email string) {
	b.t.Helper()
	b.do("register",
		chromedp.Navigate(server.URL+"/"),
		chromedp.Click(chromedp.CSS(`main a[href="/register"]`)),
		chromedp.WaitVisible(chromedp.CSS("#name")),
		chromedp.SendKeys(chromedp.CSS("#name"), name),
		chromedp.SendKeys(chromedp.CSS("#email"), email),
		chromedp.SendKeys(chromedp.CSS("#password"), password),
		chromedp.Click(chromedp.CSS("main form .button")),
		chromedp.WaitVisible(chromedp.CSS(".greeting h1")),
	)
}

func (b *browser) logIn(server *testprocess.Server, email string, remember bool) {
	b.t.Helper()
	steps := []chromedp.Action[chromedp.Void]{
		chromedp.Navigate(server.URL + "/login"),
		chromedp.SendKeys(chromedp.CSS("#email"), email),
		chromedp.SendKeys(chromedp.CSS("#password"), password),
	}
	if remember {
		steps = append(steps, chromedp.Click(chromedp.CSS("#remember")))
	}
	b.do("log in", append(steps,
		chromedp.Click(chromedp.CSS("main form .button")),
		chromedp.WaitVisible(chromedp.CSS(".greeting h1")))...)
}

func (b *browser) logOut() {
	b.t.Helper()
	b.do("log out",
		chromedp.Click(chromedp.CSS(`header form[action="/logout"] button`)),
		chromedp.WaitVisible(chromedp.CSS("#email")))
}

// sessionCookie is what the browser holds for the site.
func (b *browser) sessionCookie(server *testprocess.Server) *network.Cookie {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepLimit)
	defer cancel()
	held, err := chromedp.Call(ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{server.URL}})
	if err != nil {
		b.t.Fatalf("read the cookies: %v", err)
	}
	for _, cookie := range held.Cookies {
		if cookie.Name == "session" {
			return cookie
		}
	}
	return nil
}

// close ends the browser as its user would, with its profile written.
func (b *browser) close() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepLimit)
	defer cancel()
	if err := chromedp.Cancel(ctx); err != nil && !errors.Is(err, context.Canceled) {
		b.t.Fatalf("close Chromium: %v", err)
	}
}

func TestInABrowserAPersonIsGreetedAcrossRestarts(t *testing.T) {
	t.Parallel()
	for _, scripts := range []bool{true, false} {
		t.Run(fmt.Sprintf("scripts %t", scripts), func(t *testing.T) {
			t.Parallel()
			b := browse(t, t.TempDir())
			server := start(t, testprocess.Settings{"HOST": "localhost"})
			server.Keep(password)
			b.first(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
				_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled,
					emulation.SetScriptExecutionDisabledParams{Value: !scripts})
				return err
			}))
			b.register(server, "Ada Lovelace", "ada@example.org")
			b.sees("Hello, Ada Lovelace!", "after registering")
			b.logOut()
			if b.scripted() != scripts {
				t.Fatalf("scripts run: %t, want %t", !scripts, scripts)
			}
			b.logIn(server, "ada@example.org", false)
			b.sees("Hello, Ada Lovelace!", "after logging in")
			for _, way := range ends() {
				way.end(server)
				server.Start()
				b.do("reload", chromedp.Reload())
				b.sees("Hello, Ada Lovelace!", "after "+way.name)
				b.do("see that the session survived", chromedp.WaitVisible(chromedp.CSS(".warm")))
			}
			b.quiet()
		})
	}
}

// scripted reports whether the log-in page has what only a script can add.
func (b *browser) scripted() bool {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepLimit)
	defer cancel()
	page, err := chromedp.Run(ctx, chromedp.Nodes(chromedp.CSSAll("button.show"), chromedp.AtLeast(0)))
	if err != nil {
		b.t.Fatalf("look for the show-password button: %v", err)
	}
	return len(page) > 0
}

func TestInABrowserBackShowsNothingPrivateAfterLogOut(t *testing.T) {
	t.Parallel()
	b := browse(t, t.TempDir())
	server := start(t, testprocess.Settings{"HOST": "localhost"})
	b.first()
	b.register(server, "Ada Lovelace", "ada@example.org")
	b.do("open another private page", chromedp.Navigate(server.URL+"/session"), chromedp.Navigate(server.URL+"/profile"))
	b.logOut()
	for range 3 {
		b.do("go back", chromedp.NavigateBack())
		ctx, cancel := context.WithTimeout(b.ctx, stepLimit)
		page, err := chromedp.Run(ctx, chromedp.OuterHTML(chromedp.CSS("html")))
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		mustNotName(t, page, "Ada", "ada@example.org")
	}
}

func TestInABrowserOnlyARememberedSessionOutlivesTheBrowser(t *testing.T) {
	t.Parallel()
	server := start(t, testprocess.Settings{"HOST": "localhost"})
	ada := newVisitor(t, server.URL)
	ada.register()
	for _, remember := range []bool{false, true} {
		t.Run(fmt.Sprintf("remembered %t", remember), func(t *testing.T) {
			profile := t.TempDir()
			b := browse(t, profile)
			b.first()
			b.logIn(server, ada.email, remember)
			cookie := b.sessionCookie(server)
			if cookie == nil || !cookie.HTTPOnly || cookie.SameSite != network.CookieSameSiteLax || cookie.Path != "/" {
				t.Fatalf("the cookie is %+v", cookie)
			}
			if cookie.Session == remember {
				t.Errorf("remembered %t, but the cookie's session attribute is %t", remember, cookie.Session)
			}
			if days := time.Until(time.Unix(int64(cookie.Expires), 0)).Hours() / 24; remember && (days < 29 || days > 30) {
				t.Errorf("the cookie expires in %.1f days, want 30", days)
			}
			b.close()

			b = browse(t, profile)
			b.first()
			b.do("open the profile in a new browser", chromedp.Navigate(server.URL+"/profile"))
			if remember {
				b.sees("Hello, Ada!", "after the browser was closed")
			} else {
				b.sees("Log in", "after the browser was closed")
			}
			b.close()
		})
	}
}
