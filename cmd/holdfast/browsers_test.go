package main_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

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
			if err != nil {
				t.Fatal(err)
			}
			mustNotName(t, page, "Ada", "ada@example.org")
		}
	})
}
