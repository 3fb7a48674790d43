package main_test

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
)

// TestADeletedAccountLeavesNothingInTheFiles allows only the email that confirms the
// deletion.
func TestADeletedAccountLeavesNothingInTheFiles(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	ada := member(t, server)
	ada.send("/session", "/session", map[string]string{"key": "colour", "value": "chartreuse-kelp"})
	ada.send("/forgot", "/forgot", map[string]string{"email": ada.email})
	awaitEmail(t, server.Dir, "reset")
	ada.send("/account/delete", "/account/delete", map[string]string{"email": ada.email})
	awaitEmail(t, server.Dir, "deleted")
	server.Stop()
	require.NoError(t, filepath.WalkDir(server.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.Contains(path, "-deleted-") {
			return err
		}
		content, err := os.ReadFile(path)
		for _, word := range []string{ada.email, "chartreuse-kelp", "$argon2id$v="} {
			if bytes.Contains(content, []byte(word)) {
				t.Errorf("%s has %q", path, word)
			}
		}
		return err
	}))
}

// awaitEmail waits for an email of this kind in the mail directory.
func awaitEmail(t *testing.T, dir, kind string) {
	t.Helper()
	testkit.Eventually(t, testkit.Patience, "an email of kind "+kind, func() error {
		found, err := filepath.Glob(filepath.Join(dir, ".data", "mail", "*-"+kind+"-*.eml"))
		if err == nil && len(found) == 0 {
			err = fs.ErrNotExist
		}
		return err
	})
}

// TestAPersonIsDisabledBeforeTheirSessionsEnd: in the other order, a login between the
// two steps would keep its session.
func TestAPersonIsDisabledBeforeTheirSessionsEnd(t *testing.T) {
	t.Parallel()
	postgres := testkit.Postgres(t)
	server := start(t, onServices(testservice.Redis(t).URL, postgres.URL))
	ada := member(t, server)
	query(t, postgres.URL,
		`CREATE TABLE noted (disabled BOOLEAN NOT NULL)`,
		`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO noted SELECT disabled_ms IS NOT NULL FROM people WHERE id = NEW.person_id; RETURN NEW; END $$`,
		`CREATE TRIGGER note AFTER UPDATE OF ended_ms ON devices FOR EACH ROW EXECUTE FUNCTION note()`)
	mustSucceed(t, testprocess.Run(t, program(t), t.TempDir(), server.Settings(), "users", "disable", "--email", ada.email), "Sessions revoked: 1")
	disabled, err := column[bool](t, postgres.URL, `SELECT disabled FROM noted`)
	if err != nil || !slices.Equal(disabled, []bool{true}) {
		t.Errorf("for each session that ended, whether the person was disabled by then: %v, %v", disabled, err)
	}
	mustBe(t, asked, ada, "disabled")
}

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
