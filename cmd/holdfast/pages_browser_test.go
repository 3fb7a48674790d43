package main_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestATranslatedTimeStaysTranslated: a browser that translates a page wraps its words
// in elements of its own.
func TestATranslatedTimeStaysTranslated(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	b := browse(t)
	b.register(server, "Ada", "ada@example.org")
	b.do("translate the devices", chromedp.Navigate(server.URL+"/devices"),
		chromedp.WaitVisible(chromedp.CSS("time")),
		chromedp.Evaluate[chromedp.Void](`for (const time of document.querySelectorAll("time")) {
			const font = document.createElement("font");
			font.textContent = "gerade eben";
			time.replaceChildren(font);
		}`))
	time.Sleep(2500 * time.Millisecond) // the script writes once a second
	if !ask[bool](b, `[...document.querySelectorAll("time")].every((time) => time.textContent === "gerade eben")`) {
		t.Error("the script has written its own words back")
	}
}
