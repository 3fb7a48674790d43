package main_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/testprocess"
)

// tabTo presses Tab until the element with this name has the focus. The name is the
// text of a link or button, or the label of a field.
func (b *browser) tabTo(name string) {
	b.t.Helper()
	var passed []string
	for range 60 {
		b.do("press Tab", chromedp.KeyEvent(kb.Tab))
		focused := ask[string](b, `(e => ((e.labels && e.labels[0]) || e).textContent.trim())(document.activeElement)`)
		if focused == name {
			return
		}
		passed = append(passed, focused)
	}
	b.t.Fatalf("Tab never reaches %q; it passes %q (at %s)", name, passed, b.where())
}

// follow presses the link or button with this name, which leads to a page with this
// heading.
func (b *browser) follow(name, heading string) {
	b.t.Helper()
	b.tabTo(name)
	b.press(kb.Enter)
	b.sees(heading, "following "+name)
}

func (b *browser) press(keys string) {
	b.t.Helper()
	b.do("press keys", chromedp.KeyEvent(keys))
}

// seen is what the browser reports about a page. Requests and Bytes count the page and
// its resources with nothing cached. Narrow lists the targets less than 44 px high
// (WCAG 2.2, 2.5.8 and 2.5.5), except links within a sentence or a drawing, and
// checkboxes, which their labels enlarge.
type seen struct {
	Width    int      `json:"width"`
	Requests int      `json:"requests"`
	Bytes    int      `json:"bytes"`
	Headings int      `json:"headings"`
	Narrow   []string `json:"narrow"`
	Language string   `json:"language"`
	Links    []string `json:"links"`
}

const see = `(fetched => ({
	width: document.documentElement.scrollWidth,
	requests: fetched.length, bytes: fetched.reduce((sum, e) => sum + e.transferSize, 0),
	headings: document.querySelectorAll("h1").length,
	narrow: [...document.querySelectorAll("a[href], button, summary, .field input, textarea, .check label")].
		filter(e => e.checkVisibility() && getComputedStyle(e).display != "inline" && !e.closest("svg, .skip")).
		filter(e => e.getBoundingClientRect().height < 44).
		map(e => e.textContent.trim() + ": " + e.getBoundingClientRect().height),
	language: document.documentElement.lang,
	links: [...document.querySelectorAll("a[href^='/']:not([download])")].map(a => a.pathname),
}))(performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource")))`

func TestInABrowserEveryPageIsLightAndFitsASmallPhone(t *testing.T) {
	t.Parallel()
	names := []string{"Ada", strings.Repeat("n", 120), "عائشة بنت عبد الله", "🧜🏽 Ada 🐚"}
	for _, name := range names[:campaign.Number(2, len(names))] {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := browse(t)
			server := start(t, testprocess.Settings{"HOST": "localhost"})
			server.Keep(password)
			call(b, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
			b.do("use a small phone", chromedp.EmulateViewport(320, 640))
			call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "screen"})
			if name == "Ada" { // pages for a guest show no name
				guest := b.fits(server, "/reset?token=unknown", "/verify?token=unknown")
				for _, path := range []string{"/login", "/register", "/forgot", "/mail"} {
					if !slices.Contains(guest, path) {
						t.Errorf("no link leads a guest to %s", path)
					}
				}
			}
			b.register(server, name, "ada@example.org")
			b.sees("Hello, "+name+"!", "after registering")
			who := newVisitor(t, server.URL)
			who.email = "ada@example.org"
			member := b.fits(server, "/account/proof", resetLink(t, server, who), mailed(t, who, who.email, "Confirm your email address"))
			for _, path := range []string{"/account", "/account/email", "/account/password", "/account/history", "/account/delete", "/devices", "/mail"} {
				if !slices.Contains(member, path) {
					t.Errorf("no link leads a member to %s", path)
				}
			}
		})
	}
}

// TestInABrowserTextOfTwiceTheSizeFitsASmallPhone checks that no page is wider than the
// screen.
func TestInABrowserTextOfTwiceTheSizeFitsASmallPhone(t *testing.T) {
	t.Parallel()
	b := browse(t)
	server := start(t, nil)
	b.on(screen{320, true})
	b.register(server, strings.Repeat("Zacharias ", 6), "ada@example.org")
	call(b, page.SetFontSizes, page.SetFontSizesParams{FontSizes: &page.FontSizes{Standard: 32, Fixed: 26}})
	for _, path := range []string{"/", "/profile", "/devices", "/session", "/account", "/account/history", "/account/password", "/account/delete", "/lab", "/lab/attacks", "/lab/cookies", "/lab/expire", "/why", "/explain", "/mail"} {
		b.do("open "+path, chromedp.Navigate(server.URL+path))
		if size := ask[float64](b, "parseFloat(getComputedStyle(document.documentElement).fontSize)"); size != 32 {
			t.Fatalf("%s: the text is %v px", path, size)
		}
		if over := ask[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
			t.Errorf("%s is %d px too wide", path, over)
		}
	}
}

// mostBytes returns how much a page may fetch with nothing cached: 30 kB. The long
// documents about sessions, where no visit begins, may fetch 20 kB more text. One of
// them also shows its source.
func mostBytes(path string) int {
	switch path {
	case "/explain":
		return 55_000
	case "/explain/recent", "/lab/attacks", "/lab/cookies", "/why":
		return 50_000
	default:
		return 30_000
	}
}

// nameless returns the roles of the links, buttons and fields that have no name for a
// screen reader.
func (b *browser) nameless() (roles []string) {
	b.t.Helper()
	targets := 0
	for _, node := range call(b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
		if node.Ignored || node.Role == nil {
			continue
		}
		role := strings.Trim(string(node.Role.Value), `"`)
		if !slices.Contains([]string{"link", "button", "textbox", "checkbox", "DisclosureTriangle"}, role) {
			continue
		}
		targets++
		if node.Name == nil || strings.TrimSpace(strings.Trim(string(node.Name.Value), `"`)) == "" {
			roles = append(roles, role)
		}
	}
	if targets == 0 {
		b.t.Fatalf("the page has nothing to follow, press or fill in (at %s)", b.where())
	}
	return roles
}

// fits checks every linked page, a missing page, and the pages in more. A page must not
// scroll sideways, and makes at most three requests for at most mostBytes. It has one
// h1 and a language, and every target has a name and is 44 px high. It returns the
// paths of these pages.
func (b *browser) fits(server *testprocess.Server, more ...string) []string {
	b.t.Helper()
	paths := append([]string{"/", "/nowhere"}, more...)
	for i := 0; i < len(paths); i++ {
		path := paths[i]
		b.do("open "+path, chromedp.Navigate(server.URL+path))
		page := ask[seen](b, see)
		if page.Width > 320 {
			b.t.Errorf("%s is %d wide on a screen of 320", path, page.Width)
		}
		if page.Requests > 3 || page.Bytes > mostBytes(path) || page.Bytes == 0 {
			b.t.Errorf("%s makes %d requests for %d bytes", path, page.Requests, page.Bytes)
		}
		if page.Headings != 1 {
			b.t.Errorf("%s has %d headings of the first rank", path, page.Headings)
		}
		for _, role := range b.nameless() {
			b.t.Errorf("%s has a %s without a name", path, role)
		}
		for _, target := range page.Narrow {
			b.t.Errorf("%s has a target of less than 44 px: %s", path, target)
		}
		if page.Language != "en" {
			b.t.Errorf("%s has the language %q", path, page.Language)
		}
		for _, linked := range page.Links {
			if !slices.Contains(paths, linked) {
				paths = append(paths, linked)
			}
		}
	}
	if len(paths) < 8 {
		b.t.Errorf("links lead only to %q", paths)
	}
	return paths
}

// The script updates times in the same words that the server used. A browser that
// translates a page wraps its words in additional elements, which the script leaves alone.
func TestInABrowserTimesReadTheSameWithAndWithoutTheScriptAndStayTranslated(t *testing.T) {
	t.Parallel()
	b := browse(t)
	server := start(t, testprocess.Settings{"HOST": "localhost"})
	b.do("open the first page", chromedp.Navigate(server.URL+"/"))
	b.register(server, "Ada", "ada@example.org")
	const coming = `[...document.querySelectorAll("dd time")].map(t => t.textContent).filter(t => t.startsWith("in ")).join("; ")`
	with := ask[string](b, coming)
	for seconds, want := range map[int]string{ // as in web/moment_test.go
		0: "just now", -9: "just now", -10: "10 seconds ago", 59: "in 59 seconds", 60: "in 1 minute", -119: "1 minute ago", -120: "2 minutes ago",
		3540: "in 59 minutes", 3599: "in 1 hour", 7140: "in 2 hours", -82800: "23 hours ago", -169740: "1 day ago", 172800: "in 2 days", 601200: "in 7 days", -86400000: "1000 days ago",
	} {
		if got := ask[string](b, fmt.Sprintf("distance(%d)", seconds)); got != want {
			t.Errorf("the script calls %d seconds %q, want %q", seconds, got, want)
		}
	}
	b.do("translate the devices", chromedp.Navigate(server.URL+"/devices"),
		chromedp.WaitVisible(chromedp.CSS("time")),
		chromedp.Evaluate[chromedp.Void](`for (const time of document.querySelectorAll("time")) {
			const font = document.createElement("font");
			font.textContent = "gerade eben";
			time.replaceChildren(font);
		}`))
	time.Sleep(2500 * time.Millisecond) // the script updates once a second
	if !ask[bool](b, `[...document.querySelectorAll("time")].every((time) => time.textContent === "gerade eben")`) {
		t.Error("the script has written its own words back")
	}
	b.scripts(false)
	b.do("open the profile", chromedp.Navigate(server.URL+"/profile"))
	without := ask[string](b, coming)
	if with != without || strings.Count(without, "; ") != 1 || !strings.HasPrefix(without, "in 1 day, ") {
		t.Errorf("with the script the profile says %q, without it %q", with, without)
	}
}
