package main_test

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
)

// A mail server that is down, or one that accepts the connection and then hangs, slows
// no page and prevents no sign-up.
func TestADeadOrHangingMailServerSlowsNoPage(t *testing.T) {
	t.Parallel()
	const slow = 15 * time.Second // waiting for the mail server takes longer
	hanging, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { hanging.Close() }) // its connections are never accepted
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone.Close()
	each(t, map[string]string{"dead": gone.Addr().String(), "hanging": hanging.Addr().String()}, func(t *testing.T, name string, address string) {
		server := start(t, testprocess.Settings{
			"SMTP_URL": "smtp://ada:sesame-kelp@" + address, "MAIL_FROM": "login@kelp.example", "SHUTDOWN_TIMEOUT": "2s",
		})
		server.Keep("sesame-kelp")
		for range 8 {
			who := newVisitor(t, server.URL)
			got, err := who.trySignUp()
			if err != nil || got.Code != http.StatusSeeOther || got.Header.Get("Location") != "/login" {
				t.Fatalf("sign up: %d to %q, %v", got.Code, got.Header.Get("Location"), err)
			}
			require.NoError(t, entered(who.tryLogIn()))
			if page := who.get("/profile"); page.Took > slow {
				t.Errorf("a page took %s", page.Took)
			}
			if got, err := who.submit("/forgot", "/forgot", map[string]string{"email": who.email}); err != nil || got.Took > slow {
				t.Errorf("asking for a new password took %s, %v", got.Took, err)
			}
		}
		if name == "dead" {
			mustLog(t, server, "email not sent, will retry")
		}
		if strings.Contains(server.Log(), "@example.org") {
			t.Error("the log names an address")
		}
		server.Terminate()
		if end := server.Wait(answerLimit); end.Code != 0 {
			t.Errorf("ended with %d", end.Code)
		}
	})
}

// The page that lists all email is only for learning on this machine.
func TestMailIsShownOnThisMachineOnly(t *testing.T) {
	t.Parallel()
	type shown struct {
		settings testprocess.Settings
		want     int
	}
	each(t, map[string]shown{
		"learning here":               {testprocess.Settings{}, http.StatusOK},
		"not learning":                {testprocess.Settings{"LEARN": "off"}, http.StatusNotFound},
		"learning for others":         {testprocess.Settings{"LEARN": "on", "BASE_URL": "http://login.kelp.example"}, http.StatusNotFound},
		"learning on every network":   {testprocess.Settings{"LEARN": "on", "HOST": "0.0.0.0"}, http.StatusNotFound},
		"learning with a mail server": {testprocess.Settings{"SMTP_URL": "smtp://127.0.0.1:9", "MAIL_FROM": "a@kelp.example"}, http.StatusNotFound},
	}, func(t *testing.T, _ string, c shown) {
		server := start(t, c.settings)
		if got := newVisitor(t, "http://127.0.0.1:"+server.Setting("PORT")).get("/mail"); got.Code != c.want {
			t.Errorf("/mail: %d, want %d", got.Code, c.want)
		}
	})
}

func TestAnOperatorPrintsALinkForANewPassword(t *testing.T) {
	t.Parallel()
	server := start(t, testprocess.Settings{})
	who := member(t, server)
	link := resetLink(t, server, who)
	who.stranger().send(link, "/reset", map[string]string{"password": newPassword})
	require.NoError(t, all(asked(who), logsIn(who, newPassword), staysOut(who, password)))
	// No email has confirmed the address.
	require.NoError(t, entered(who.submit("/login", "/login", map[string]string{"email": who.email, "password": newPassword})))
	if kept := who.get("/account/export"); !strings.Contains(string(kept.Body), `"email_confirmed": false`) {
		t.Errorf("the person's own data: %.300s", kept.Body)
	}
	if end := server.Command("users", "reset-link", "--email", "nobody@kelp.example"); end.Code == 0 || strings.Contains(end.Output(), "token=") {
		t.Errorf("for an unknown address: %d, %s", end.Code, end.Output())
	}
}

// TestAMailServerThatHangsDelaysNoRestart: the email stays in the outbox.
func TestAMailServerThatHangsDelaysNoRestart(t *testing.T) {
	t.Parallel()
	const smtpLimit = 20 * time.Second // for one email
	hanging, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { hanging.Close() })
	reached := make(chan net.Conn, 8)
	go func() {
		for {
			conn, err := hanging.Accept()
			if err != nil {
				return
			}
			reached <- conn
		}
	}()
	server := start(t, testprocess.Settings{"SMTP_URL": "smtp://" + hanging.Addr().String(), "MAIL_FROM": "login@kelp.example", "SHUTDOWN_TIMEOUT": "1m"})
	newVisitor(t, server.URL).signUp()
	select {
	case conn := <-reached:
		t.Cleanup(func() { conn.Close() })
	case <-time.After(answerLimit):
		t.Fatal("no email is being sent")
	}
	server.Terminate()
	if end := server.Wait(answerLimit); end.Code != 0 || end.Took > smtpLimit/2 {
		t.Errorf("ended with %d after %s", end.Code, end.Took)
	}
}

// TestMailThatAnOperatorCanHaveSentIsRetriedAndSaidInReadyz checks that no email is
// lost meanwhile and that the server stays ready.
func TestMailThatAnOperatorCanHaveSentIsRetriedAndSaidInReadyz(t *testing.T) {
	t.Parallel()
	mails := startMailServer(t)
	mails.refuse(&smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "relay access denied"})
	server := start(t, testprocess.Settings{"SMTP_URL": "smtp://ada:sesame-kelp@" + mails.addr, "MAIL_FROM": "login@kelp.example"})
	server.Keep("sesame-kelp")
	saysReady(t, server, "ready\n")
	newVisitor(t, server.URL).signUp()
	saysReady(t, server, "ready\nwarning: email is not being sent: the mail server answers 554\n")
	if strings.Contains(server.Log(), "email abandoned") {
		t.Error("the email was given up")
	}
	mails.refuse(nil)
	testkit.Eventually(t, answerLimit, "send the email", func() error {
		mails.mu.Lock()
		defer mails.mu.Unlock()
		if times := slices.Collect(maps.Values(mails.by)); !slices.Equal(times, []int{1}) {
			return fmt.Errorf("emails came %v times", times)
		}
		return nil
	})
	saysReady(t, server, "ready\n")
}
