package main_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
)

const newPassword = "gulls 77 above cold granite"

// leaseOver is how long it may take until an email is sent whose sender was killed.
const leaseOver = 3 * time.Minute

// killRounds returns how many times each change is interrupted.
func killRounds() int { return campaign.Number(1, 100) }

// change is a change to an account, with checks for whether it happened. The checks run
// after the server has started again.
type change struct {
	// prepare does the setup and returns a function that submits the change.
	prepare func(t *testing.T, server *testprocess.Server, who *visitor) (send func() (answer, error))
	// happened returns nil if the whole change happened; not returns nil if none of it
	// did.
	happened, not func(who, other *visitor) error
	// notice is the subject of the email to the person that follows the change; "" for
	// none.
	notice string
}

func changesOfAccounts() map[string]change {
	passwordSet := func(who, other *visitor) error {
		return all(logsIn(who, newPassword), staysOut(who, password), asked(other))
	}
	passwordKept := func(who, other *visitor) error {
		return all(logsIn(who, password), staysOut(who, newPassword), greeted(other))
	}
	moved := func(who *visitor) *visitor {
		other := *who
		other.email = "new-" + who.email
		return &other
	}
	return map[string]change{
		"password": {
			prepare: func(_ *testing.T, _ *testprocess.Server, who *visitor) func() (answer, error) {
				return func() (answer, error) {
					return who.submit("/account/password", "/account/password", map[string]string{"current": password, "new": newPassword})
				}
			},
			happened: passwordSet, not: passwordKept,
		},
		"reset": {
			prepare: func(t *testing.T, server *testprocess.Server, who *visitor) func() (answer, error) {
				link := resetLink(t, server, who)
				stranger := who.stranger()
				return func() (answer, error) {
					return stranger.submit(link, "/reset", map[string]string{"password": newPassword})
				}
			},
			happened: passwordSet, not: passwordKept,
		},
		"deletion": {
			prepare: func(_ *testing.T, _ *testprocess.Server, who *visitor) func() (answer, error) {
				return func() (answer, error) {
					return who.submit("/account/delete", "/account/delete", map[string]string{"email": who.email})
				}
			},
			happened: func(who, other *visitor) error {
				return all(staysOut(who, password), asked(who), asked(other))
			},
			not: func(who, other *visitor) error {
				return all(logsIn(who, password), greeted(who), greeted(other))
			},
		},
		"e-mail": {
			prepare: func(t *testing.T, _ *testprocess.Server, who *visitor) func() (answer, error) {
				who.send("/account/email", "/account/email", map[string]string{"email": moved(who).email})
				link := mailed(t, who, moved(who).email, "Confirm your new email address")
				return func() (answer, error) { return who.submit(link, "/verify", nil) }
			},
			happened: func(who, other *visitor) error {
				return all(logsIn(moved(who), password), staysOut(who, password), greeted(other))
			},
			not: func(who, other *visitor) error {
				return all(logsIn(who, password), staysOut(moved(who), password), greeted(other))
			},
			notice: "Your email address was changed",
		},
	}
}

func TestNoChangeOfAnAccountIsLeftHalfDoneByKill9(t *testing.T) {
	t.Parallel()
	each(t, bothStacks(), func(t *testing.T, _ string, on func(testing.TB) testprocess.Settings) {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		server := start(t, on(t))
		server.Keep(password)
		server.Keep(newPassword)
		for what, change := range changesOfAccounts() {
			done := 0
			for round := range killRounds() {
				moment := time.Duration(random.IntN(400)) * time.Millisecond
				happened, err := interrupt(t, server, change, moment)
				if err != nil {
					t.Errorf("seed %d, %s, round %d, killed after %s: %v", seed, what, round, moment, err)
				}
				if happened {
					done++
				}
			}
			t.Logf("%s: done in %d rounds of %d", what, done, killRounds())
		}
	})
}

// interrupt kills the server a moment after submitting a change, and reports whether
// the change happened. An acknowledged change must have happened.
func interrupt(t *testing.T, server *testprocess.Server, c change, moment time.Duration) (happened bool, err error) {
	t.Helper()
	who := newVisitor(t, server.URL)
	who.register()
	other := who.stranger()
	require.NoError(t, entered(other.tryLogIn()))
	send := c.prepare(t, server, who)
	acknowledged := make(chan bool, 1)
	go func() {
		got, err := send()
		acknowledged <- err == nil && got.Code == http.StatusSeeOther
	}()
	<-time.After(moment) // somewhere in the middle
	server.Kill()
	said := <-acknowledged
	server.Start()
	done := c.happened(who, other)
	if done == nil {
		if c.notice != "" {
			testkit.Eventually(t, leaseOver, "the email about the change", func() error { _, err := linkTo(who, who.email, c.notice); return err })
		}
		return true, nil
	}
	if said {
		return false, fmt.Errorf("acknowledged, and did not happen: %w", done)
	}
	if not := c.not(who, other); not != nil {
		return false, fmt.Errorf("neither done (%w) nor left alone (%w)", done, not)
	}
	return false, nil
}

func all(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// logsIn returns nil if a person can log in with a password in a new browser.
func logsIn(who *visitor, pass string) error {
	got, err := who.stranger().submit("/login", "/login", map[string]string{"email": who.email, "password": pass})
	if err := entered(got, err); err != nil {
		return fmt.Errorf("log in as %s: %w", who.email, err)
	}
	return nil
}

// staysOut returns nil if a person cannot log in with a password.
func staysOut(who *visitor, pass string) error {
	got, err := who.stranger().submit("/login", "/login", map[string]string{"email": who.email, "password": pass})
	if err != nil || got.Code != http.StatusUnprocessableEntity {
		return fmt.Errorf("log in as %s: %d, %v; want to be refused", who.email, got.Code, err)
	}
	return nil
}

var mailedLink = regexp.MustCompile(`^/(reset|verify)\?token=\S+$`)

// linkTo returns the link in the latest email with this subject to this address.
func linkTo(who *visitor, email, subject string) (string, error) {
	got, err := who.ask("GET", "/mail", nil)
	if err != nil {
		return "", err
	}
	link := ""
	got.page.Find("article").EachWithBreak(func(_ int, mail *goquery.Selection) bool {
		if strings.TrimSpace(mail.Find("dt:contains('To') + dd").Text()) == email && mail.Find("h2").Text() == subject {
			link = mail.Find("a.button").First().AttrOr("href", "")
		}
		return link == ""
	})
	if !mailedLink.MatchString(link) {
		return "", fmt.Errorf("no mail to %s with subject %q and a link", email, subject)
	}
	return link, nil
}

// resetLink returns a link from the command "users reset-link".
func resetLink(t *testing.T, server *testprocess.Server, who *visitor) string {
	t.Helper()
	said := mustSucceed(t, server.Command("users", "reset-link", "--email", who.email), "/reset?token=")
	return regexp.MustCompile(`/reset\?token=\S+`).FindString(said)
}

// attempt is one person's sign-up and whether the server acknowledged it.
type attempt struct {
	who          *visitor
	acknowledged bool
}

func TestNoAcknowledgedSignUpIsLostAndNoneIsStuckByKill9(t *testing.T) {
	t.Parallel()
	each(t, bothStacks(), func(t *testing.T, _ string, on func(testing.TB) testprocess.Settings) {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		server := start(t, on(t))
		server.Keep(password)
		for round := range killRounds() {
			attempts := signUpUntilKilled(t, server, 1+random.IntN(4), time.Duration(random.IntN(60))*time.Millisecond)
			server.Start()
			for _, a := range attempts {
				if err := remains(a); err != nil {
					t.Errorf("seed %d, round %d, %s, acknowledged %t: %v", seed, round, a.who.email, a.acknowledged, err)
				}
			}
		}
	})
}

// signUpUntilKilled signs people up in four parallel loops. It kills the server a
// moment after the given number of sign-ups have succeeded.
func signUpUntilKilled(t *testing.T, server *testprocess.Server, after int, moment time.Duration) []attempt {
	t.Helper()
	const lines = 4
	var mu sync.Mutex
	var attempts []attempt
	var all sync.WaitGroup
	enough := make(chan struct{})
	acknowledged := 0
	for range lines {
		all.Go(func() {
			for {
				who := newVisitor(t, server.URL)
				err := entered(who.trySignUp())
				mu.Lock()
				attempts = append(attempts, attempt{who, err == nil})
				if err == nil {
					if acknowledged++; acknowledged == after {
						close(enough)
					}
				}
				mu.Unlock()
				if err != nil {
					return // the server is being killed
				}
			}
		})
	}
	select {
	case <-enough:
	case <-time.After(answerLimit):
		t.Errorf("fewer than %d sign-ups in %s", after, answerLimit)
	}
	<-time.After(moment) // somewhere in the middle of the next sign-ups
	server.Kill()
	all.Wait()
	return attempts
}

// remains returns nil if an acknowledged attempt left its account and session, and if
// the person of any other attempt can log in or send the same form again.
func remains(a attempt) error {
	if a.acknowledged {
		if err := greeted(a.who); err != nil {
			return fmt.Errorf("the session from the sign-up: %w", err)
		}
	}
	again := a.who.stranger()
	got, err := again.tryLogIn()
	if err != nil {
		return err
	}
	if entered(got, nil) == nil {
		return greeted(again)
	}
	if a.acknowledged || got.Code != http.StatusUnprocessableEntity {
		return fmt.Errorf("log in: %d, %q", got.Code, got.text(".errors"))
	}
	return entered(again.trySignUp())
}
