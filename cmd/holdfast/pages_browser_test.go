package main_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestATranslatedTimeStaysTranslated: a browser that translates a page wraps its words
// in additional elements.
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
	time.Sleep(2500 * time.Millisecond) // the script updates once a second
	if !ask[bool](b, `[...document.querySelectorAll("time")].every((time) => time.textContent === "gerade eben")`) {
		t.Error("the script has written its own words back")
	}
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
