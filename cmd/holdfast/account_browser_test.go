package main_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testkit/chromium"
	"holdfast/internal/dev/testprocess"
)

// The line below the new password field rates the password as it is typed. Screen
// readers announce it. It never approves a password that the server then rejects as too
// short.
func TestInABrowserALineTellsHowANewPasswordLooks(t *testing.T) {
	t.Parallel()
	b := browse(t)
	server := start(t, testprocess.Settings{"HOST": "localhost"})
	b.do("open the first page", chromedp.Navigate(server.URL+"/register"))
	const line = `document.querySelector("#password").closest(".field").querySelector("[role=status]").textContent`
	const selected = `(e => { e.focus(); e.select(); return true })(document.querySelector("#password"))`
	if at := ask[string](b, line); at != "" {
		t.Errorf("before anything is typed it says %q", at)
	}
	for _, c := range []struct{ typed, said string }{
		{"granite", "7 of at least 15 characters"},
		{"🪸🪸🪸", "3 of at least 15 characters"},
		{"aaaaaaaaaaaaaaaaaaaa", "Easy to guess: it contains repeats or sequences"},
		{"abcdefghijklmnopqrst", "Easy to guess: it contains repeats or sequences"},
		{"granitekelpotter", "Long enough"},
		{"granite swims 7 leagues", "Hard to guess"},
		{"granitekelpotterharbour", "Hard to guess"},
	} {
		ask[bool](b, selected)
		b.press(c.typed) // replaces the selected text
		if said := ask[string](b, line); said != c.said {
			t.Errorf("of %q it says %q, want %q", c.typed, said, c.said)
		}
	}
	ask[bool](b, selected)
	b.press(kb.Backspace)
	if said := ask[string](b, line); said != "" {
		t.Errorf("of nothing it says %q", said)
	}
	if n := ask[int](b, `document.querySelectorAll("form [role=status]").length`); n != 1 {
		t.Errorf("%d lines on the page", n)
	}
	b.quiet()
}

// The keyboard alone is enough to register, put a value into the session, restart the
// server, log out and log in again, and for every task of the account pages: changing the
// password, reading the history, changing the email address, resetting a forgotten
// password and deleting the account.
func TestInABrowserTheKeyboardAloneIsEnough(t *testing.T) {
	t.Parallel()
	b := browse(t)
	server := start(t, testprocess.Settings{"HOST": "localhost"})
	server.Keep(password)
	server.Keep(newPassword)
	guest := newVisitor(t, server.URL) // reads the email
	b.do("open the first page", chromedp.Navigate(server.URL+"/"))

	b.tabTo("Skip to main content")
	b.follow("Create an account", "Create an account")
	b.tabTo("Name")
	b.press("Ada" + kb.Tab + "ada@example.org" + kb.Tab + "short" + kb.Enter)
	b.do("see what to correct", chromedp.WaitVisible(chromedp.CSS("#password-error")))
	testkit.Eventually(t, stepLimit, "focus the summary of what to correct", func() error { // in a later frame
		if on := ask[string](b, `document.activeElement.getAttribute("role") || document.activeElement.tagName`); on != "alert" {
			return fmt.Errorf("the focus is on %q", on)
		}
		return nil
	})
	b.tabTo("Password")
	b.press(password + kb.Enter)
	b.sees("Hello, Ada!", "after registering")

	b.follow("Session", "Your session")
	b.tabTo("Key")
	b.press("colour" + kb.Tab + "green" + kb.Enter)
	b.do("see the value", chromedp.WaitVisible(chromedp.CSS("table.values")))
	b.follow("Lab", "Restart lab")
	b.follow("Restart the server now", "Hello again, Ada!") // after the page came back by itself
	b.follow("Log out", "Log in")
	b.tabTo("Email address")
	b.press("ada@example.org" + kb.Tab + password + kb.Enter)
	b.sees("Hello, Ada!", "after logging in again")
	b.mu.Lock()
	b.problems = nil // Chromium may count the refused form
	b.mu.Unlock()

	b.follow("Ada", "Your account")
	b.follow("See the account history", "Account history")
	b.follow("Back to your account", "Your account")
	b.tabTo("Change your name")
	b.press(kb.Enter)
	b.tabTo("Your name")
	b.press(kb.End + " Lovelace" + kb.Enter)
	b.reads("header .person", "the name saved", func(names []string) error {
		if !slices.Equal(names, []string{"Ada Lovelace"}) {
			return fmt.Errorf("the header names %q", names)
		}
		return nil
	})

	b.follow("Change your email address", "Change your email address")
	b.tabTo("New email address")
	b.press("lovelace@example.org" + kb.Enter)
	b.sees("Your account", "asking for another address")
	b.do("open the mail", chromedp.Navigate(server.URL+mailed(t, guest, "lovelace@example.org", "Confirm your new email address")))
	b.sees("Change your email address", "opening the link")
	b.follow("Use this address", "Your account")

	b.follow("Change your password", "Change your password")
	b.tabTo("Current password")
	b.press(password)
	b.tabTo("New password")
	b.press(newPassword + kb.Enter)
	b.sees("Your account", "changing the password")
	b.follow("Log out", "Log in")

	b.follow("Forgotten your password?", "Forgotten your password?")
	b.tabTo("Email address")
	b.press("lovelace@example.org" + kb.Enter)
	b.sees("Log in", "asking for a link")
	b.do("open the mail", chromedp.Navigate(server.URL+mailed(t, guest, "lovelace@example.org", "Choose a new password")))
	b.sees("Choose a new password", "opening the link")
	b.tabTo("New password")
	b.press(password + kb.Enter)
	b.sees("Log in", "setting a password")
	b.tabTo("Email address")
	b.press("lovelace@example.org" + kb.Tab + password + kb.Enter)
	b.sees("Hello, Ada Lovelace!", "logging in with the new password")

	b.follow("Ada Lovelace", "Your account")
	b.follow("Delete your account", "Delete your account")
	b.tabTo("Your email address")
	b.press("lovelace@example.org" + kb.Tab + kb.Enter)
	b.reads("[role=status] .notice", "the account deleted", func(notices []string) error {
		if len(notices) != 1 || !strings.HasPrefix(notices[0], "Your account has been deleted") {
			return fmt.Errorf("the notices are %q", notices)
		}
		return nil
	})
	b.quiet()
}

// mailed waits for an email and returns the link in it.
func mailed(t *testing.T, who *visitor, to, subject string) (link string) {
	t.Helper()
	testkit.Eventually(t, answerLimit, "the mail "+subject, func() (err error) {
		link, err = linkTo(who, to, subject)
		return err
	})
	return link
}

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
		require.NoError(t, all(logsIn(who, newPassword), staysOut(who, password)))
	})
}
