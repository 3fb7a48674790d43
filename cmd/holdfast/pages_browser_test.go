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
	send := func(password string) []chromedp.Action[chromedp.Void] {
		return []chromedp.Action[chromedp.Void]{
			chromedp.SetValue(chromedp.CSS("#email"), "ada@example.org"),
			chromedp.SetValue(chromedp.CSS("#password"), password),
			chromedp.Click(chromedp.CSS("main form .button")),
		}
	}
	b.do("open the page", chromedp.Navigate(server.URL+"/login"))
	b.do("log in with the wrong password", append(send("not the password"), chromedp.WaitVisible(chromedp.CSS(".field-error")))...)
	b.do("log in", append(send(password), chromedp.WaitVisible(chromedp.CSS(".greeting h1")))...)
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
