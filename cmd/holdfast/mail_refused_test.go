package main_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	visit "holdfast/internal/visitor"
)

// relay is a mail server on this machine. Like Postfix, it wants a password without
// encryption and a fully qualified host name. It relays no email until it is fixed.
type relay struct {
	conn *smtp.Conn
	*relays
}

type relays struct {
	mu     sync.Mutex
	broken *smtp.SMTPError // the reply to each recipient; nil to accept
	sent   int
}

func (r *relays) fix(now *smtp.SMTPError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = now
}

func (r relay) AuthMechanisms() []string { return []string{"NTLM", sasl.Plain} }

func (r relay) Auth(mechanism string) (sasl.Server, error) {
	if mechanism != sasl.Plain {
		return nil, smtp.ErrAuthFailed
	}
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "ada" || password != "sesame-kelp" {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (r relay) Mail(string, *smtp.MailOptions) error { return nil }

func (r relay) Rcpt(string, *smtp.RcptOptions) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !strings.Contains(r.conn.Hostname(), ".") {
		return &smtp.SMTPError{Code: 504, EnhancedCode: smtp.EnhancedCode{5, 5, 2}, Message: "need fully-qualified hostname"}
	}
	if r.broken != nil {
		return r.broken
	}
	return nil
}

func (r relay) Data(source io.Reader) error {
	_, err := io.Copy(io.Discard, source)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent++
	return err
}

func (relay) Reset()        {}
func (relay) Logout() error { return nil }

// TestMailThatAnOperatorCanHaveSentIsRetriedAndSaidInReadyz checks that no email is
// lost meanwhile and that the server stays ready.
func TestMailThatAnOperatorCanHaveSentIsRetriedAndSaidInReadyz(t *testing.T) {
	t.Parallel()
	all := &relays{broken: &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "relay access denied"}}
	mails := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return relay{c, all}, nil }))
	mails.AllowInsecureAuth = true
	mails.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = mails.Serve(listener) }()
	t.Cleanup(func() { mails.Close() })
	server := start(t, testprocess.Settings{"SMTP_URL": "smtp://ada:sesame-kelp@" + listener.Addr().String(), "MAIL_FROM": "login@kelp.example"})
	server.Keep("sesame-kelp")
	ready := func(want string) {
		t.Helper()
		testkit.Eventually(t, answerLimit, "say "+want, func() error {
			got, err := newVisitor(t, server.URL).Do(context.Background(), visit.Request{Method: http.MethodGet, Path: "/readyz"})
			if err != nil || got.Code != http.StatusOK || string(got.Body) != want {
				return fmt.Errorf("%d, %q, %v", got.Code, got.Body, err)
			}
			return nil
		})
	}
	ready("ready\n")
	got, err := newVisitor(t, server.URL).trySignUp()
	if err != nil || got.Code != http.StatusSeeOther {
		t.Fatalf("sign up: %d, %v", got.Code, err)
	}
	ready("ready\nwarning: email is not being sent: the mail server answers 554\n")
	if strings.Contains(server.Log(), "email abandoned") {
		t.Error("the email was given up")
	}
	all.fix(nil)
	testkit.Eventually(t, answerLimit, "send the email", func() error {
		all.mu.Lock()
		defer all.mu.Unlock()
		if all.sent != 1 {
			return fmt.Errorf("%d emails came", all.sent)
		}
		return nil
	})
	ready("ready\n")
}
