package main_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testprocess"
)

func TestInABrowserAPersonIsGreetedAcrossRestarts(t *testing.T) {
	t.Parallel()
	for _, scripts := range []bool{true, false} {
		t.Run(fmt.Sprintf("scripts %t", scripts), func(t *testing.T) {
			t.Parallel()
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
	for _, remember := range []bool{false, true} {
		t.Run(fmt.Sprintf("remembered %t", remember), func(t *testing.T) {
			t.Parallel()
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
}
