package main_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"holdfast/internal/dev/testprocess"
)

// On plain http a browser trusts only its own machine: from any other it sends no
// Sec-Fetch-Site, and the forms behind mailed links are known by their Origin.
func TestInABrowserMailedLinksWorkOnPlainHTTPFromAnotherMachine(t *testing.T) {
	t.Parallel()
	for name, host := range map[string]string{"another machine": "kelp.example", "this machine": "127.0.0.1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t, testprocess.Settings{"HOST": "127.0.0.1"})
			server.Keep(newPassword)
			who := member(t, server)
			confirm := mailed(t, who, who.email, "Confirm your e-mail address")
			base := "http://" + host + ":" + server.URL[strings.LastIndex(server.URL, ":")+1:]
			b := browse(t, t.TempDir(), chromedp.Flag("host-resolver-rules", "MAP kelp.example 127.0.0.1"))
			b.first(chromedp.Navigate(base + confirm))
			b.sees("Confirm your e-mail address", "opening the link")
			if trusted := ask[bool](b, "isSecureContext"); trusted != (host == "127.0.0.1") {
				t.Fatalf("%s is trusted: %t", base, trusted)
			}
			b.click("main form .button")
			b.sees("Log in", "confirming")
			b.do("open the other link", chromedp.Navigate(base+resetLink(t, server, who)))
			b.sees("Choose a new password", "opening the link")
			b.do("type a password", chromedp.SendKeys(chromedp.CSS("#password"), newPassword))
			b.click("main form .button")
			b.sees("Log in", "setting a password")
			if err := all(logsIn(who, newPassword), staysOut(who, password)); err != nil {
				t.Error(err)
			}
		})
	}
}
