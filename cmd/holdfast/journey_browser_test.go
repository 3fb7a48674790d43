package main_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testkit/webdriver"
	"holdfast/internal/dev/testprocess"
)

// anyBrowser is what Chromium, Firefox and WebKit have in common.
type anyBrowser interface {
	Open(url string)
	Back()
	Click(selector string)
	Fill(selector, text string)
	Text(selector string) (string, error) // "" if nothing matches
}

// chrome makes a Chromium browser an anyBrowser.
type chrome struct{ *browser }

func (c chrome) Open(url string)       { c.t.Helper(); c.do("open "+url, chromedp.Navigate(url)) }
func (c chrome) Back()                 { c.t.Helper(); c.back() }
func (c chrome) Click(selector string) { c.t.Helper(); c.click(selector) }
func (c chrome) Fill(selector, text string) {
	c.t.Helper()
	c.do("fill in "+selector, chromedp.SendKeys(chromedp.CSS(selector), text))
}

func (c chrome) Text(selector string) (string, error) {
	return try(c.browser, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%q)?.textContent ?? ""`, selector)))
}

// TestTheJourneyIsTheSameInEveryBrowser also checks that Back shows nothing of the
// account after logout, although WebKit keeps pages in its back/forward cache.
func TestTheJourneyIsTheSameInEveryBrowser(t *testing.T) {
	t.Parallel()
	each(t, map[string]func(testing.TB) anyBrowser{
		"Chromium": func(t testing.TB) anyBrowser { return chrome{browse(t)} },
		"Firefox":  func(t testing.TB) anyBrowser { return webdriver.Firefox(t) },
		"WebKit":   func(t testing.TB) anyBrowser { return webdriver.WebKit(t) },
	}, func(t *testing.T, name string, open func(testing.TB) anyBrowser) {
		server, b := start(t, testprocess.Settings{"HOST": "localhost"}), open(t)
		wants := func(selector, want, when string) {
			t.Helper()
			testkit.Eventually(t, stepLimit, when, func() error {
				said, err := b.Text(selector)
				if err == nil && !strings.Contains(said, want) {
					err = fmt.Errorf("%s says %q, want %q", selector, said, want)
				}
				return err
			})
		}
		b.Open(server.URL + "/register")
		b.Fill("#name", "Ada Lovelace")
		b.Fill("#email", "ada@example.org")
		b.Fill("#password", password)
		b.Click("main form .button")
		wants("h1", "Hello, Ada Lovelace!", "register")
		b.Click(`header form[action="/logout"] button`)
		wants("h1", "Log in", "log out")
		b.Fill("#email", "ada@example.org")
		b.Fill("#password", password)
		b.Click("main form .button")
		wants("h1", "Hello, Ada Lovelace!", "log in")
		b.Open(server.URL + "/lab")
		b.Click(`form[action="/lab/restart"] button`)
		wants("h1", "Hello again, Ada Lovelace!", "restart the server")
		b.Open(server.URL + "/account/password")
		b.Click("main form .button")
		wants("title", "Error:", "send an empty form")
		b.Click(`header a[href="/devices"]`)
		wants("h1", "Where you are logged in", "open another page")
		b.Back()
		wants("h1", "Change your password", "go back to the form, which is not sent again")
		for _, page := range []string{"/account", "/devices", "/profile"} {
			b.Open(server.URL + page)
		}
		b.Click(`header form[action="/logout"] button`)
		wants("h1", "Log in", "log out")
		for range 3 {
			b.Back()
			wants("h1", "Log in", "go back")
			page, err := b.Text("body")
			require.NoError(t, err)
			mustNotName(t, page, "Ada", "ada@example.org")
		}
	})
}

func TestInABrowserAPersonIsGreetedAcrossRestarts(t *testing.T) {
	t.Parallel()
	each(t, withAndWithoutScripts(), func(t *testing.T, _ string, scripts bool) {
		b := browse(t)
		server := start(t, testprocess.Settings{"HOST": "localhost"})
		server.Keep(password)
		b.scripts(scripts)
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

func TestInABrowserBackShowsNothingPrivateAfterLogOut(t *testing.T) {
	t.Parallel()
	b := browse(t)
	server := start(t, testprocess.Settings{"HOST": "localhost"})
	b.register(server, "Ada Lovelace", "ada@example.org")
	b.do("open another private page", chromedp.Navigate(server.URL+"/session"), chromedp.Navigate(server.URL+"/profile"))
	b.logOut()
	for range 3 {
		b.back()
		shown, err := try(b, chromedp.OuterHTML(chromedp.CSS("html")))
		require.NoError(t, err)
		mustNotName(t, shown, "Ada", "ada@example.org")
	}
}

func TestInABrowserOnlyARememberedSessionOutlivesTheBrowser(t *testing.T) {
	t.Parallel()
	server := start(t, testprocess.Settings{"HOST": "localhost"})
	ada := newVisitor(t, server.URL)
	ada.register()
	each(t, map[string]bool{"remembered": true, "not remembered": false}, func(t *testing.T, _ string, remember bool) {
		profile := t.TempDir()
		b := browseIn(t, profile)
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

		b = browseIn(t, profile)
		b.do("open the profile in a new browser", chromedp.Navigate(server.URL+"/profile"))
		if remember {
			b.sees("Hello, Ada!", "after the browser was closed")
		} else {
			b.sees("Log in", "after the browser was closed")
		}
		b.close()
	})
}

// TestBackToALoginThatFailedSendsNothingAgain sends the form with a wrong password,
// corrects it and sends it again. Back then leads to the page with the error. A browser
// that has not cached that page asks whether to resend the form.
func TestBackToALoginThatFailedSendsNothingAgain(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	b := browse(t)
	b.register(server, "Ada", "ada@example.org")
	b.logOut()
	b.do("open the page", chromedp.Navigate(server.URL+"/login"))
	for _, sent := range []struct{ password, seen string }{{"not the password", ".field-error"}, {password, ".greeting h1"}} {
		b.fillIn("ada@example.org", sent.password)
		b.click("main form .button")
		b.do("see "+sent.seen, chromedp.WaitVisible(chromedp.CSS(sent.seen)))
	}
	b.back()
	b.sees("Log in", "the page with the error")
	b.do("change the name to none, then to another", chromedp.Navigate(server.URL+"/account"), chromedp.Click(chromedp.CSS(".overview summary")),
		chromedp.SetValue(chromedp.CSS("#name"), " "), chromedp.Click(chromedp.CSS("main form .button")), chromedp.WaitVisible(chromedp.CSS(".field-error")),
		chromedp.SetValue(chromedp.CSS("#name"), "Ada Lovelace"), chromedp.Click(chromedp.CSS("main form .button")), chromedp.WaitVisible(chromedp.CSS(".notice")))
	b.back()
	b.sees("Your account", "the page of the form")
	if at := b.where(); at != server.URL+"/account" {
		t.Errorf("Back leads to %s", at)
	}
}
