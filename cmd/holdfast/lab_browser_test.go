package main_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
	visit "holdfast/internal/visitor"
)

// screen is the width of the viewport and whether scripts run.
type screen struct {
	width   int64
	scripts bool
}

func withAndWithoutScripts() map[string]bool {
	return map[string]bool{"scripts": true, "no scripts": false}
}

func (b *browser) scripts(on bool) {
	b.t.Helper()
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
}

// on makes the browser use a screen.
func (b *browser) on(s screen) {
	b.t.Helper()
	b.scripts(s.scripts)
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: s.width, Height: 844, DeviceScaleFactor: 1, Mobile: s.width < 600,
	})
}

// texts returns the text of every element that matches the selector. It reads the page
// in one step, so that during navigation the texts come from one page or there are
// none.
func (b *browser) texts(selector string) ([]string, error) {
	page, err := try(b, chromedp.Evaluate[string]("document.documentElement.outerHTML"))
	if err != nil {
		return nil, err
	}
	document, err := goquery.NewDocumentFromReader(strings.NewReader(page))
	if err != nil {
		return nil, err
	}
	if document.Find("footer").Length() == 0 {
		return nil, errors.New("the page is not there yet")
	}
	return document.Find(selector).Map(func(_ int, s *goquery.Selection) string {
		return strings.Join(strings.Fields(s.Text()), " ")
	}), nil
}

// reads waits until wanted accepts the texts that match the selector.
func (b *browser) reads(selector, when string, wanted func([]string) error) {
	b.t.Helper()
	testkit.Eventually(b.t, checkLimit, when, func() error {
		texts, err := b.texts(selector)
		if err == nil {
			err = wanted(texts)
		}
		if err != nil {
			err = fmt.Errorf("%w (at %s)", err, b.where())
		}
		return err
	})
}

func (b *browser) click(selector string) {
	b.t.Helper()
	b.do("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// checkLimit is how long a check of all stores may take.
const checkLimit = 4 * time.Minute

// places returns the settings of a server for each kind of session store.
func places() map[string]func(testing.TB) testprocess.Settings {
	of := func(store string) func(testing.TB) testprocess.Settings {
		return func(testing.TB) testprocess.Settings { return testprocess.Settings{"SESSION_STORE": store} }
	}
	return map[string]func(testing.TB) testprocess.Settings{
		"embedded Redis": embedded, "file": of("file"), "database": of("database"), "memory": of("memory"),
		"Redis": func(t testing.TB) testprocess.Settings { return onServices(testservice.Redis(t).URL, "") },
		"PostgreSQL": func(t testing.TB) testprocess.Settings {
			settings := onServices("", testkit.Postgres(t).URL)
			settings["SESSION_STORE"] = "database"
			return settings
		},
	}
}

func TestInABrowserTheServerIsRestartedAndASecondOneAskedInEveryStore(t *testing.T) {
	t.Parallel()
	screens := []screen{{390, false}, {1280, true}}
	n := 0
	for name, settings := range places() {
		look := screens[n%len(screens)]
		n++
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := browse(t)
			server := start(t, settings(t))
			b.on(look)
			b.register(server, "Ada", "ada@example.org")
			want := "Hello again, Ada!"
			if name == "memory" {
				want = "You are logged out"
			}
			for i := range campaign.Number(1, 3) {
				b.do("open the lab", chromedp.Navigate(server.URL+"/lab"))
				b.click(`form[action="/lab/restart"] button`)
				b.sees(want, fmt.Sprintf("after restart %d, at %d px, scripts %t", i+1, look.width, look.scripts))
				if name == "memory" {
					b.logIn(server, "ada@example.org", false)
				}
			}
			b.quiet()
			askSecondServer(t, server, name)
		})
	}
}

// askSecondServer starts a second server on the same stores from /why, which asks it
// with the cookie of Ada's browser.
func askSecondServer(t *testing.T, server *testprocess.Server, store string) {
	t.Helper()
	b := browse(t)
	b.on(screen{390, false})
	b.logIn(server, "ada@example.org", false)
	b.do("open the page", chromedp.Navigate(server.URL+"/why"))
	b.click(`form[action="/why/second"] button`)
	said := ""
	b.reads(".second-said", "hear of the second server", func(all []string) error {
		if len(all) != 1 {
			return fmt.Errorf("it says %q", all)
		}
		said = all[0]
		return nil
	})
	switch store {
	case "file":
		if !strings.Contains(said, "another") {
			t.Errorf("it refused with %q", said)
		}
		b.do("see the button again", chromedp.WaitVisible(chromedp.CSS(`form[action="/why/second"] button`)))
		return
	case "memory":
		if said != "it asks you to log in" {
			t.Errorf("with sessions in memory it says %q", said)
		}
		b.click("#second ~ .actions a.button")
		b.sees("Log in", "at the second server")
	default:
		if said != "Hello, Ada!" {
			t.Errorf("it says %q", said)
		}
		means := ask[string](b, `document.querySelector("#second ~ dl + p").textContent`)
		if (store == "embedded Redis") != strings.Contains(means, "inside the first server") {
			t.Errorf("it means %q", means)
		}
		b.click("#second ~ .actions a.button")
		b.sees("Hello, Ada!", "at the second server")
		if ask[bool](b, `document.querySelector(".warm") !== null`) {
			t.Error("the second server says that the session survived a restart: it has not")
		}
	}
	at := b.where()
	if strings.HasPrefix(at, server.URL+"/") || !strings.HasPrefix(at, "http://127.0.0.1:") {
		t.Errorf("the browser is at %s", at)
	}
	b.do("go back to the first", chromedp.Navigate(server.URL+"/why"))
	b.click(`form[action="/why/second/stop"] button`)
	b.do("see the button again", chromedp.WaitVisible(chromedp.CSS(`form[action="/why/second"] button`)))
	if store != "memory" {
		if _, err := http.Get(strings.TrimSuffix(at, "/profile") + "/healthz"); err == nil {
			t.Error("the second server still answers")
		}
	}
}

func TestInABrowserTheCookieClinicSaysWhatCameBack(t *testing.T) {
	t.Parallel()
	b := browse(t)
	server := start(t, nil)
	b.on(screen{390, false})
	b.do("open the clinic", chromedp.Navigate(server.URL+"/lab/cookies"))
	b.click(`form[action="/lab/cookies"] button`)
	cameBack := func(said []string) error {
		// Browsers differ on Secure and __Host- cookies from a loopback address.
		want := []string{"Sent back: 1", "", "Not sent back", "Not sent back", "Not sent back", "", "Not sent back", "Sent back: a, b", "Sent back: 1", "Sent back: 1"}
		if len(said) != len(want) {
			return fmt.Errorf("it says %q", said)
		}
		for i := range want {
			if !strings.Contains(said[i], want[i]) {
				return fmt.Errorf("number %d says %q, want %q", i+1, said[i], want[i])
			}
		}
		return nil
	}
	b.reads(".clinic li > p:first-of-type", "see what came back", cameBack)
	b.do("look once more", chromedp.Reload())
	b.reads(".clinic li > p:first-of-type", "see the same again", cameBack)
	b.do("look when they are gone", chromedp.Navigate(server.URL+"/lab/cookies?tried=1"))
	b.reads("#results", "see nothing that is not so", func(said []string) error {
		if len(said) != 1 || said[0] != "The cookies" {
			return fmt.Errorf("it says %q", said)
		}
		return nil
	})
}

func TestInABrowserAPageOfAStoreThatIsAwayComesBackByItself(t *testing.T) {
	t.Parallel()
	each(t, withAndWithoutScripts(), func(t *testing.T, _ string, scripts bool) {
		redis := testservice.PrivateRedis(t)
		b := browse(t)
		server := start(t, strict(onServices(redis.URL, "")))
		b.on(screen{390, scripts})
		b.register(server, "Ada", "ada@example.org")
		redis.Pause()
		b.do("reload", chromedp.Reload())
		b.sees("We can’t look up sessions right now", "with Redis hanging")
		redis.Resume()
		b.sees("Hello, Ada!", "when Redis is back")
	})
}

func TestInABrowserWhoseSessionEndedIsToldAndTakenBack(t *testing.T) {
	t.Parallel()
	b := browse(t)
	server := start(t, nil)
	b.on(screen{390, false})
	v := member(t, server)
	b.logIn(server, v.email, false)
	b.do("look at the devices", chromedp.Navigate(server.URL+"/devices"))
	require.NoError(t, visit.Sent(v.Post(t.Context(), "/devices/end-others", url.Values{})))
	b.do("reload", chromedp.Reload())
	b.sees("Log in", "after the session ended")
	b.reads("[role=status] .notice", "say why", func(notices []string) error {
		if len(notices) != 1 || notices[0] != "Your session has ended: it was logged out from another device. Log in to continue." {
			return fmt.Errorf("the log-in page says %q", notices)
		}
		return nil
	})
	b.fillIn(v.email, password)
	b.click("main form .button")
	b.sees("Where you are logged in", "back where the session ended")
}
