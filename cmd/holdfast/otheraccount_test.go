package main_test

import (
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testprocess"
)

// The tabs of a browser share one session: a login in one tab changes the account in
// all.
func TestAPageOfOneAccountDoesNothingToAnother(t *testing.T) {
	t.Parallel()
	server := start(t, testprocess.Settings{})
	ada, bert := member(t, server), newVisitor(t, server.URL)
	bert.name = "Bert"
	bert.register()
	ada.Header = http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {server.URL}}

	const path = "/account/delete"
	page := ada.get(path)
	form, err := page.Form(path)
	require.NoError(t, err)
	asBert := *ada // in another tab
	asBert.name, asBert.email = bert.name, bert.email
	asBert.logOut()
	asBert.logIn()

	// Type the address of the account that would be deleted.
	form.Set("email", bert.email)
	got, err := ada.ask("POST", path, form)
	require.NoError(t, err)
	if want := "You are now logged in as Bert. This page belonged to another account."; got.Code != http.StatusConflict || got.text("main .lead") != want {
		t.Errorf("Ada’s form sent as Bert: %s, %q; want 409, %q", got.Status, got.text("main .lead"), want)
	}
	if greeted := asBert.get("/profile").text("h1"); greeted != "Hello, Bert!" {
		t.Errorf("afterwards Bert is greeted %q", greeted)
	}
	stranger := bert.stranger()
	stranger.logIn() // the account is still there

	// The button leads to the page for Bert, and its form acts on Bert's account.
	back := got.page.Find("main .actions a").First().AttrOr("href", "")
	if back != path || !strings.Contains(asBert.get(back).text("main"), bert.email) {
		t.Errorf("the button leads to %q", back)
	}
	asBert.send(path, path, map[string]string{"email": bert.email})
	if got, err = stranger.tryLogIn(); err != nil || got.Code != http.StatusUnprocessableEntity {
		t.Errorf("a log-in to the deleted account: %s, %v", got.Status, err)
	}
}
