package main_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"holdfast/internal/dev/testkit/chromium"
	"holdfast/internal/dev/testprocess"
)

// Over plain HTTP, a browser trusts only its own machine. To any other it sends no
// Sec-Fetch-Site, so the server recognises the forms behind emailed links by their
// Origin.
func TestInABrowserMailedLinksWorkOnPlainHTTPFromAnotherMachine(t *testing.T) {
	t.Parallel()
	each(t, map[string]string{"another machine": chromium.OtherHost, "this machine": "127.0.0.1"}, func(t *testing.T, _ string, host string) {
		server := start(t, testprocess.Settings{"HOST": "127.0.0.1", "BASE_URL": "http://" + host})
		server.Keep(password)
		server.Keep(newPassword)
		who := newVisitor(t, "http://127.0.0.1:"+server.Setting("PORT"))
		who.register()
		base := "http://" + host + ":" + server.Setting("PORT")
		b := browse(t)
		b.do("open the first page", chromedp.Navigate(base+resetLink(t, server, who)))
		b.sees("Choose a new password", "opening the link")
		if trusted := ask[bool](b, "isSecureContext"); trusted != (host == "127.0.0.1") {
			t.Fatalf("%s is trusted: %t", base, trusted)
		}
		b.do("type a password", chromedp.SetValue(chromedp.CSS("#password"), newPassword))
		b.click("main form .button")
		b.sees("Log in", "setting a password")
		if err := all(logsIn(who, newPassword), staysOut(who, password)); err != nil {
			t.Error(err)
		}
	})
}
