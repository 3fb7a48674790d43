package main_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
)

// screen is the width of the viewport and whether scripts run.
type screen struct {
	width   int64
	scripts bool
}

func (b *browser) scripts(on bool) {
	b.t.Helper()
	b.do("turn scripts on or off", chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
		return err
	}))
}

// on makes the browser use a screen.
func (b *browser) on(s screen) {
	b.t.Helper()
	b.scripts(s.scripts)
	b.do("begin", chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: s.width, Height: 844, DeviceScaleFactor: 1, Mobile: s.width < 600,
		})
		return err
	}))
}

// texts returns the text of every element that matches the selector. It reads the page
// in one step, so that during navigation the texts come from one page or there are
// none.
func (b *browser) texts(selector string) ([]string, error) {
	ctx, cancel := context.WithTimeout(b.ctx, stepLimit)
	defer cancel()
	nodes, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.documentElement.outerHTML"))
	if err != nil {
		return nil, err
	}
	return textsIn(nodes, selector)
}

// reads waits until wanted accepts the texts that match the selector.
func (b *browser) reads(selector, when string, wanted func([]string) error) {
	b.t.Helper()
	poll := time.NewTicker(200 * time.Millisecond)
	defer poll.Stop()
	late := time.After(4 * time.Minute)
	for {
		texts, err := b.texts(selector)
		if err == nil {
			err = wanted(texts)
		}
		if err == nil {
			return
		}
		select {
		case <-late:
			b.t.Fatalf("%s: %v (at %s)", when, err, b.where())
		case <-poll.C:
		}
	}
}

func (b *browser) click(selector string) {
	b.t.Helper()
	b.do("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// places returns the settings of a server for each kind of session store.
func places() map[string]func(testing.TB) testprocess.Settings {
	of := func(store string) func(testing.TB) testprocess.Settings {
		return func(testing.TB) testprocess.Settings { return testprocess.Settings{"SESSION_STORE": store} }
	}
	return map[string]func(testing.TB) testprocess.Settings{
		"embedded Redis": of("redis"), "file": of("file"), "database": of("database"), "memory": of("memory"),
		"Redis": func(t testing.TB) testprocess.Settings { return onServices(testservice.Redis(t).URL, "") },
		"PostgreSQL": func(t testing.TB) testprocess.Settings {
			settings := onServices("", testkit.Postgres(t).URL)
			settings["SESSION_STORE"] = "database"
			return settings
		},
	}
}

func TestInABrowserTheServerIsRestartedInEveryStore(t *testing.T) {
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
		})
	}
}

// The test does what people do: it restarts the server, runs a check and an attack in
// turn, and looks at the pages.
func TestInABrowserTheCheckShowsItsProgressAndEndsByItself(t *testing.T) {
	t.Parallel()
	each(t, map[string]screen{"phone without scripts": {390, false}, "desktop": {1280, true}}, func(t *testing.T, _ string, look screen) {
		b := browse(t)
		server := start(t, nil)
		b.on(look)
		b.register(server, "Ada", "ada@example.org")
		b.do("open the lab", chromedp.Navigate(server.URL+"/lab"))
		if look.scripts {
			b.do("guess", chromedp.SetValue(chromedp.CSS("#guess"), "known"))
		}
		b.click(`form[action="/lab/restart"] button`)
		b.sees("Hello again, Ada!", "after the restart")
		if look.scripts {
			b.reads(".notices .notice", "hear of the guess", func(said []string) error {
				if len(said) != 1 || !strings.HasPrefix(said[0], "You guessed right: 1 of 1 so far.") {
					return fmt.Errorf("it says %q", said)
				}
				return nil
			})
		}
		b.click(`form[action="/lab/check"] button`)
		if !look.scripts {
			b.click(`a[href="/lab/check"]`)
		}
		var pages int
		var at float64
		for most := 5; most > 0; most-- {
			b.reads(".matrix:first-of-type tbody tr", fmt.Sprintf("see at most %d stores wait", most), func(rows []string) error {
				waiting := 0
				for _, row := range rows {
					if strings.Contains(row, "testing now: ") || strings.Contains(row, "not tested yet") {
						waiting++
					}
				}
				if len(rows) != 5 || waiting > most {
					return fmt.Errorf("%d rows, %d waiting", len(rows), waiting)
				}
				return nil
			})
			if most == 5 { // the page is there
				pages, at = ask[int](b, "history.length"), ask[float64](b, "scrollTo(0, 150), scrollY")
			}
		}
		b.reads("main", "see the end", func(all []string) error {
			if len(all) != 1 || !strings.Contains(all[0], "Measured on this machine") || strings.Contains(all[0], "A check is running") {
				return errors.New("no end")
			}
			return nil
		})
		if now := ask[int](b, "history.length"); now != pages {
			t.Errorf("%d pages in the history, %d before", now, pages)
		}
		if now := ask[float64](b, "scrollY"); look.scripts && now != at {
			t.Errorf("the page moved from %v to %v", at, now)
		}
		if !look.scripts {
			b.click(`a[href="/lab"]`)
		}
		b.click(`a[href="/lab/attacks"]`)
		b.click(`.attack form[action="/lab/attacks/replay"] button`)
		b.reads("#replay ~ *, .trial", "see the attack fail", func(all []string) error {
			if !strings.Contains(strings.Join(all, " "), "The attack failed") {
				return errors.New("no verdict")
			}
			return nil
		})
		b.do("open the lab again", chromedp.Navigate(server.URL+"/lab"))
		b.click(`form[action="/lab/restart"] button`)
		b.sees("Hello again, Ada!", "after the restart that followed")
		b.quiet()
	})
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

func TestInABrowserASecondServerIsAskedWithTheSameCookie(t *testing.T) {
	t.Parallel()
	each(t, places(), func(t *testing.T, name string, settings func(testing.TB) testprocess.Settings) {
		b := browse(t)
		server := start(t, settings(t))
		b.on(screen{390, false})
		b.register(server, "Ada", "ada@example.org")
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
		switch name {
		case "file":
			if !strings.Contains(said, "another") {
				t.Errorf("it refused with %q", said)
			}
			b.do("see the button again", chromedp.WaitVisible(chromedp.CSS(`form[action="/why/second"] button`)))
			t.Logf("refused: %s", said)
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
			if (name == "embedded Redis") != strings.Contains(means, "inside the first server") {
				t.Errorf("it means %q", means)
			}
			b.click("#second ~ .actions a.button")
			b.sees("Hello, Ada!", "at the second server")
			if ask[bool](b, `document.querySelector(".warm") !== null`) {
				t.Error("the second server says that the session survived a restart: none has been restarted")
			}
		}
		if at := b.where(); strings.HasPrefix(at, server.URL+"/") || !strings.HasPrefix(at, "http://127.0.0.1:") {
			t.Errorf("the browser is at %s", at)
		}
		second := strings.TrimSuffix(b.where(), "/profile")
		b.do("go back to the first", chromedp.Navigate(server.URL+"/why"))
		b.click(`form[action="/why/second/stop"] button`)
		b.do("see the button again", chromedp.WaitVisible(chromedp.CSS(`form[action="/why/second"] button`)))
		if name != "memory" {
			if _, err := http.Get(second + "/healthz"); err == nil {
				t.Error("the second server still answers")
			}
		}
	})
}

func TestASecondServerEndsWithTheFirst(t *testing.T) {
	t.Parallel()
	each(t, map[string]func(*testprocess.Server){
		"killed":  func(s *testprocess.Server) { s.Kill() },
		"stopped": func(s *testprocess.Server) { s.Stop() },
	}, func(t *testing.T, _ string, end func(*testprocess.Server)) {
		server := start(t, testprocess.Settings{"SESSION_STORE": "database"})
		v := member(t, server)
		if got, err := v.submit("/why", "/why/second", nil); err != nil || got.Code != http.StatusSeeOther {
			t.Fatalf("start the second: %d, %v", got.Code, err)
		}
		at, found := v.get("/why").page.Find("#second ~ .actions a").Attr("href")
		if !found {
			t.Fatal("no second server")
		}
		alive := func() bool {
			response, err := http.Get(strings.TrimSuffix(at, "/profile") + "/healthz")
			if err == nil {
				response.Body.Close()
			}
			return err == nil
		}
		if !alive() {
			t.Fatal("the second server does not answer")
		}
		end(server)
		testkit.Eventually(t, answerLimit, "end with the first", func() error {
			if alive() {
				return errors.New("the second server still answers")
			}
			return nil
		})
	})
}

func TestInABrowserAPageOfAStoreThatIsAwayComesBackByItself(t *testing.T) {
	t.Parallel()
	for _, scripts := range []bool{true, false} {
		t.Run(fmt.Sprintf("scripts %t", scripts), func(t *testing.T) {
			t.Parallel()
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
}

func TestInABrowserWhoseSessionEndedIsToldAndTakenBack(t *testing.T) {
	t.Parallel()
	b := browse(t)
	server := start(t, nil)
	b.on(screen{390, false})
	v := member(t, server)
	b.logIn(server, v.email, false)
	b.do("look at the devices", chromedp.Navigate(server.URL+"/devices"))
	if got, err := v.ask("POST", "/devices/end-others", map[string][]string{}); err != nil || got.Code != http.StatusSeeOther {
		t.Fatalf("end the browser's session: %d, %v", got.Code, err)
	}
	b.do("reload", chromedp.Reload())
	b.sees("Log in", "after the session ended")
	b.reads("[role=status] .notice", "say why", func(notices []string) error {
		if len(notices) != 1 || notices[0] != "Your session has ended: it was logged out from another device. Log in to continue." {
			return fmt.Errorf("the log-in page says %q", notices)
		}
		return nil
	})
	b.do("log in",
		chromedp.SetValue(chromedp.CSS("#email"), v.email),
		chromedp.SetValue(chromedp.CSS("#password"), password),
		chromedp.Click(chromedp.CSS("main form .button")))
	b.sees("Where you are logged in", "back where the session ended")
}

func textsIn(page, selector string) ([]string, error) {
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
