package web_test

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/mail"
	"holdfast/web"
)

var linkLine = regexp.MustCompile(`(?m)^https?://\S+\?token=(\S+)$`)

// sendMail sends the emails in the outbox and returns those in the folder, newest
// first.
func (w *world) sendMail() []mail.Shown {
	w.t.Helper()
	for {
		found, err := w.post.Next(w.t.Context())
		require.NoError(w.t, err)
		if !found {
			break
		}
	}
	mails, err := w.folder.Latest()
	require.NoError(w.t, err)
	return mails
}

// mailTo sends the emails in the outbox and returns the latest one to an address with a
// subject.
func (w *world) mailTo(to, subject string) mail.Shown {
	w.t.Helper()
	for _, m := range w.sendMail() {
		if strings.Trim(m.To, "<>") == to && m.Subject == subject {
			return m
		}
	}
	w.t.Fatalf("no mail to %s with subject %q", to, subject)
	return mail.Shown{}
}

// linkIn returns the URL of the only link in an email. When the test ends, it checks
// that the log does not contain the link's token.
func (w *world) linkIn(m mail.Shown) string {
	w.t.Helper()
	found := linkLine.FindAllStringSubmatch(m.Text, -1)
	if len(found) != 1 {
		w.t.Fatalf("%d links in %q", len(found), m.Text)
	}
	w.t.Cleanup(func() {
		if strings.Contains(w.log.String(), found[0][1]) {
			w.t.Error("the log has the token of a mailed link")
		}
	})
	if !strings.HasPrefix(found[0][0], w.base.String()+"/") {
		w.t.Errorf("the link %s leads elsewhere than %s", found[0][0], w.base)
	}
	return strings.TrimPrefix(found[0][0], w.base.String())
}

func TestNobodysWordsInAUserAgentGetIntoAMail(t *testing.T) {
	t.Parallel()
	for userAgent, want := range map[string]string{
		"Your account is locked: go to evil.example/1": "Unknown browser",
		"call 0800123456":                              "Unknown browser",
		"evil.example/1.0":                             "Unknown browser",
		"Call Zero Eight Hundred Now To Save/1":        "Unknown browser",
		"Call-Zero-Eight-Hundred":                      "Unknown browser",
		"Mozilla/5.0 (X11; Linux x86_64) Call Now/1.0": "Unknown browser on Linux",
		"curl/8.5.0":                                   "curl",
		"python-requests/2":                            "python-requests",
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0": "Firefox on Linux",
	} {
		if got := web.BrowserWords(userAgent); got != want {
			t.Errorf("%q: %q, want %q", userAgent, got, want)
		}
	}
}

func TestMailIsReadOnItsPageWithALinkToFollow(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	b := w.browser()
	b.get("/mail").want(http.StatusOK).wantText("article", "")
	b.register("<b>Bea</b>", "bea@kelp.example", otherPassword).wantRedirect("/profile")
	w.sendMail()
	page := b.get("/mail").want(http.StatusOK).wantText("article h2", "Confirm your email address")
	page.wantCount("article details[open]", 1)
	link := page.doc().Find("article a.button").AttrOr("href", "")
	b.get("/account").want(http.StatusOK).wantText("main a[href='/mail']", "Read your email on the Mail page")
	asked := b.follow(b.post("/account/confirm", nil).wantRedirect("/account"))
	asked.wantText("[role=status] a[href='/mail']", "read it on the Mail page")
	asked.wantNotices("We wrote you an email. No mail server is set up, so read it on the Mail page.")
	b.submit(b.get(link).want(http.StatusOK), "form[action='/verify']", nil).wantRedirect("/account")
}

func TestTheLatestMailIsOpenAndTwentyAreShown(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	for n := range 21 {
		sent := mail.Message{To: "ada@kelp.example", Subject: "Mail " + strconv.Itoa(n), Text: "After that, go to\n" + w.base.String() + "/forgot.", Date: w.clock.Now().Add(time.Duration(n) * time.Second)}
		require.NoError(t, w.folder.Send(t.Context(), sent))
	}
	page := w.browser().get("/mail").want(http.StatusOK)
	if subjects := page.texts("article h2"); len(subjects) != 20 || subjects[0] != "Mail 20" || subjects[19] != "Mail 1" {
		t.Errorf("of 21 mails it shows %q", subjects)
	}
	page.wantText("article details[open] h2", "Mail 20").wantText("article details[open] p", "After that, go to "+w.base.String()+"/forgot.").wantText("article .button", "")
}

const (
	asksReset   = "Choose a new password"
	asksChange  = "Confirm your new email address"
	asksConfirm = "Confirm your email address"
	tellsChange = "Your email address was changed"
)

// holdMail delays the emails waiting for a recipient, as a mail server that does not
// respond would. release ends the delay.
func (w *world) holdMail(to string) (release func()) {
	w.t.Helper()
	turn := func(by time.Duration) {
		w.t.Helper()
		w.sql(`UPDATE outbox SET turn_ms = turn_ms + $1 WHERE recipient = $2`, by.Milliseconds(), to)
	}
	turn(time.Hour)
	return func() { w.t.Helper(); turn(-time.Hour) }
}

const (
	tellsTaken    = "Someone tried to use your email address"
	tellsLogIn    = "New login to your account"
	tellsPassword = "Your password was changed"
)

// emailed counts the emails to an address, by subject.
func (w *world) emailed(to string) map[string]int {
	w.t.Helper()
	counts := map[string]int{}
	for _, m := range w.sendMail() {
		if strings.Trim(m.To, "<>") == to {
			counts[m.Subject]++
		}
	}
	return counts
}

const alreadyThere = "You already have an account"

// recipients returns the recipients of the emails with a subject, newest first.
func (w *world) recipients(subject string) (to []string) {
	w.t.Helper()
	for _, m := range w.sendMail() {
		if m.Subject == subject {
			to = append(to, m.To)
		}
	}
	return to
}
