package main_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"holdfast/internal/dev/testkit"
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

// Every task of the account pages works with the keyboard alone: changing the password,
// reading the history, changing the email address, resetting a forgotten password and
// deleting the account.
func TestInABrowserTheKeyboardAloneIsEnoughForAnAccount(t *testing.T) {
	t.Parallel()
	b := browse(t)
	server := start(t, testprocess.Settings{"HOST": "localhost"})
	server.Keep(newPassword)
	who := member(t, server)
	b.do("open the first page", chromedp.Navigate(server.URL+"/login"))
	b.tabTo("Email address")
	b.press(who.email + kb.Tab + password + kb.Enter)
	b.sees("Hello, Ada!", "logging in")
	b.tabTo("Ada")
	b.press(kb.Enter)
	b.sees("Your account", "following the name")
	follow := func(link, heading string) {
		t.Helper()
		b.tabTo(link)
		b.press(kb.Enter)
		b.sees(heading, "following "+link)
	}
	follow("See the account history", "Account history")
	follow("Back to your account", "Your account")
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

	follow("Change your email address", "Change your email address")
	b.tabTo("New email address")
	b.press("lovelace@example.org" + kb.Enter)
	b.sees("Your account", "asking for another address")
	b.do("open the mail", chromedp.Navigate(server.URL+mailed(t, who, "lovelace@example.org", "Confirm your new email address")))
	b.sees("Change your email address", "opening the link")
	b.tabTo("Use this address")
	b.press(kb.Enter)
	b.sees("Your account", "using the address")

	follow("Change your password", "Change your password")
	b.tabTo("Current password")
	b.press(password)
	b.tabTo("New password")
	b.press(newPassword + kb.Enter)
	b.sees("Your account", "changing the password")
	b.tabTo("Log out")
	b.press(kb.Enter)
	b.sees("Log in", "logging out")

	follow("Forgotten your password?", "Forgotten your password?")
	b.tabTo("Email address")
	b.press("lovelace@example.org" + kb.Enter)
	b.sees("Log in", "asking for a link")
	b.do("open the mail", chromedp.Navigate(server.URL+mailed(t, who, "lovelace@example.org", "Choose a new password")))
	b.sees("Choose a new password", "opening the link")
	b.tabTo("New password")
	b.press(password + kb.Enter)
	b.sees("Log in", "setting a password")
	b.tabTo("Email address")
	b.press("lovelace@example.org" + kb.Tab + password + kb.Enter)
	b.sees("Hello, Ada Lovelace!", "logging in with the new password")

	follow("Ada Lovelace", "Your account")
	follow("Delete your account", "Delete your account")
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
