package web_test

import (
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/dev/require"
	"holdfast/web"
)

func TestEveryEventIsInTheLogAndInTheDocuments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{mail: true, slow: true})
	w.secrets.add(otherPassword)
	p := w.person("Ada")
	bea := w.browser()
	sign := func(email string) {
		w.browser().post("/register", url.Values{"name": {"Bea"}, "email": {email}, "password": {otherPassword}}).wantRedirect("/login")
	}
	sign("bea@kelp.example")
	sign(p.email)
	bea.post("/login", credentials("bea@kelp.example", wrongPassword)).want(http.StatusUnprocessableEntity)
	bea.post("/login", credentials("bea@kelp.example", otherPassword)).wantRedirect("/profile")
	bea.post("/login", credentials("bea@kelp.example", otherPassword)).wantRedirect("/profile")
	confirm := w.linkIn(w.mailTo("bea@kelp.example", "Confirm your email address"))
	bea.submit(bea.get(confirm), "form[action='/verify']", nil).wantRedirect("/account")
	bea.post("/account/name", url.Values{"name": {"Bea\u2019s name"}}).wantRedirect("/account")
	bea.post("/account/proof", url.Values{"password": {wrongPassword}}).want(http.StatusUnprocessableEntity)
	bea.post("/account/proof", url.Values{"password": {otherPassword}}).wantRedirect("/account")
	other := w.browser()
	other.post("/login", credentials("bea@kelp.example", otherPassword)).wantRedirect("/profile")
	bea.post("/devices/end", url.Values{"id": {bea.otherDevices()[0]}}).wantRedirect("/devices")
	other.post("/login", credentials("bea@kelp.example", otherPassword)).wantRedirect("/profile")
	bea.post("/devices/end-others", nil).wantRedirect("/devices")
	bea.get("/account/export").want(http.StatusOK)
	bea.post("/account/email", url.Values{"email": {"new@kelp.example"}}).wantRedirect("/account")
	change := w.linkIn(w.mailTo("new@kelp.example", "Confirm your new email address"))
	bea.submit(bea.get(change), "form[action='/verify']", nil).wantRedirect("/account")
	bea.post("/account/password", url.Values{"current": {otherPassword}, "new": {sharedPassword}}).wantRedirect("/account")
	undo := w.linkIn(w.mailTo("bea@kelp.example", "Your email address was changed"))
	bea.submit(bea.get(undo), "form[action='/verify']", nil).wantReset()
	w.clock.Advance(25 * time.Hour)
	bea.post("/forgot", url.Values{"email": {"bea@kelp.example"}}).wantRedirect("/login")
	reset := w.linkIn(w.mailTo("bea@kelp.example", "Choose a new password"))
	bea.submit(bea.get(reset), "form[action='/reset']", map[string]string{"password": otherPassword}).wantRedirect("/login")
	bea.post("/login", credentials("bea@kelp.example", otherPassword)).wantRedirect("/profile")
	bea.post("/logout", nil).wantRedirect("/login")
	for range 6 {
		w.browser().post("/login", credentials(p.email, wrongPassword))
	}
	bea.post("/login", credentials("bea@kelp.example", otherPassword)).wantRedirect("/profile")
	bea.post("/account/delete", url.Values{"email": {"bea@kelp.example"}}).wantRedirect("/")
	keep := w.linkIn(w.mailTo("bea@kelp.example", tellsClosing))
	w.answersKeep(keep[strings.Index(keep, "=")+1:], "keep").want(http.StatusSeeOther)
	history := strings.Join(w.rows(`SELECT event FROM history`), "\n")
	bea.post("/login", credentials("bea@kelp.example", otherPassword)).wantRedirect("/profile")
	bea.post("/account/delete", url.Values{"email": {"bea@kelp.example"}}).wantRedirect("/")
	w.deletesNow("bea@kelp.example")
	w.sendMail()

	documents, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	log := w.log.String()
	historyAlone := []account.EventKind{account.EventSignUpAgain, account.EventResetAsked, account.EventSessionExpired}
	// The history has no row for a session that expired: its device records that.
	noRow := []account.EventKind{account.EventExported, account.EventDeleted, account.EventSessionExpired}
	for _, kind := range append(web.HistoryKinds(), account.EventDeleted, "throttled") {
		if !strings.Contains(string(documents), "`"+string(kind)+"`") {
			t.Errorf("docs/operations.md does not list %s", kind)
		}
		if !strings.Contains(log, `"event":"`+string(kind)+`"`) && !slices.Contains(historyAlone, kind) {
			t.Errorf("the log has no %s", kind)
		}
		if !regexp.MustCompile(`(?m)^`+string(kind)+`$`).MatchString(history) && !slices.Contains(noRow, kind) && kind != "throttled" {
			t.Errorf("the history has no %s", kind)
		}
	}
}
