package main_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	netmail "net/mail"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"holdfast/internal/database"
	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
)

// lease is how long an email belongs to its sender. While no server runs, the test ages
// the outbox by this much.
const lease = 2 * time.Minute

// mailHold is the point at which the mail server waits until the sender has been
// killed.
type mailHold int

const (
	holdNowhere mailHold = iota
	holdBefore           // has read the whole email, but not accepted it
	holdAfter            // has accepted the email, but not replied
)

// mailServer is a real mail server on a free port. It counts the emails that it
// accepts. Like Postfix, it accepts a password without encryption and wants a fully
// qualified host name.
type mailServer struct {
	addr string

	mu       sync.Mutex
	broken   *smtp.SMTPError // the reply to each recipient; nil to accept
	by       map[string]int  // how often each email was accepted, by its Message-ID
	to       map[string]int  // the same by recipient
	where    mailHold
	underWay chan struct{} // receives a value for each email that is held
	killed   chan struct{} // closed when the sender has been killed
}

func startMailServer(t *testing.T) *mailServer {
	t.Helper()
	m := &mailServer{by: map[string]int{}, to: map[string]int{}}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return mailSession{c, m}, nil }))
	server.Domain = "localhost"
	server.AllowInsecureAuth = true
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	m.addr = listener.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close(); <-done })
	m.holdAt(holdNowhere)
	return m
}

// refuse makes the server reply to each recipient with an error; nil ends that.
func (m *mailServer) refuse(reply *smtp.SMTPError) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = reply
}

// holdAt makes the server hold the next emails.
func (m *mailServer) holdAt(where mailHold) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.where, m.underWay, m.killed = where, make(chan struct{}, 100), make(chan struct{})
}

// release lets held emails continue.
func (m *mailServer) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.killed)
	m.where = holdNowhere
}

// take handles an email that the server has read completely.
func (m *mailServer) take(id, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	where, underWay, killed := m.where, m.underWay, m.killed
	if where != holdBefore {
		m.by[id]++
		m.to[to]++
	}
	if where == holdNowhere {
		return nil
	}
	m.mu.Unlock()
	underWay <- struct{}{}
	<-killed
	m.mu.Lock()
	if where == holdBefore {
		return errors.New("its sender has gone")
	}
	return nil
}

// mailSession is one connection.
type mailSession struct {
	conn *smtp.Conn
	m    *mailServer
}

func (mailSession) AuthMechanisms() []string { return []string{"NTLM", sasl.Plain} }

func (mailSession) Auth(mechanism string) (sasl.Server, error) {
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

func (s mailSession) Rcpt(string, *smtp.RcptOptions) error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if !strings.Contains(s.conn.Hostname(), ".") {
		return &smtp.SMTPError{Code: 504, EnhancedCode: smtp.EnhancedCode{5, 5, 2}, Message: "need fully-qualified hostname"}
	}
	if s.m.broken != nil {
		return s.m.broken
	}
	return nil
}

func (mailSession) Mail(string, *smtp.MailOptions) error { return nil }
func (mailSession) Reset()                               {}
func (mailSession) Logout() error                        { return nil }

func (s mailSession) Data(r io.Reader) error {
	message, err := netmail.ReadMessage(r)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, message.Body); err != nil {
		return err // cut off
	}
	return s.m.take(strings.Trim(message.Header.Get("Message-ID"), "<>"), strings.Trim(message.Header.Get("To"), "<>"))
}

// TestNoMailIsLostByKill9AndOnlyThoseUnderWayAreSentTwice kills the server while it
// sends email: at a random moment, when the mail server has read an email, and when it
// has accepted one but not replied.
func TestNoMailIsLostByKill9AndOnlyThoseUnderWayAreSentTwice(t *testing.T) {
	t.Parallel()
	each(t, bothStacks(), func(t *testing.T, _ string, on func(testing.TB) testprocess.Settings) {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		mails := startMailServer(t)
		settings := on(t)
		settings["SMTP_URL"], settings["MAIL_FROM"] = "smtp://"+mails.addr, "login@kelp.example"
		server := start(t, settings)
		server.Keep(password)
		owner := newVisitor(t, server.URL)
		owner.signUp()
		asked, mayBeTwice, twice := map[string]bool{}, map[string]int{}, 0
		for round := range campaign.Number(3, 100) {
			mails.holdAt(mailHold(round % 3))
			askForMails(t, owner, round, asked)
			if round%3 == int(holdNowhere) {
				<-time.After(time.Duration(random.IntN(1200)) * time.Millisecond) // somewhere in the middle
			} else {
				select {
				case <-mails.underWay:
				case <-time.After(answerLimit):
					t.Fatalf("seed %d, round %d: no mail came", seed, round)
				}
			}
			server.Kill()
			mails.release()
			for _, id := range underWay(t, server) {
				mayBeTwice[id+"@kelp.example"]++
			}
			server.Start()
		}
		testkit.Eventually(t, answerLimit, "every mail", func() error {
			mails.mu.Lock()
			defer mails.mu.Unlock()
			for to := range asked {
				if mails.to[to] == 0 {
					return fmt.Errorf("seed %d: none came to %s", seed, to)
				}
			}
			return nil
		})
		server.Stop()
		mails.mu.Lock()
		defer mails.mu.Unlock()
		for id, times := range mails.by {
			if times > 1+mayBeTwice[id] {
				t.Errorf("seed %d: mail %s came %d times, and was under way at %d kills", seed, id, times, mayBeTwice[id])
			}
			if times > 1 {
				twice++
			}
		}
		if twice == 0 {
			t.Errorf("seed %d: no mail came twice: none was under way", seed)
		}
		t.Logf("%d mails, %d of them more than once", len(mails.by), twice)
	})
}

// askForMails requests several emails, each to a different address, and adds the
// addresses to asked.
func askForMails(t *testing.T, owner *visitor, round int, asked map[string]bool) {
	t.Helper()
	who := owner.stranger()
	require.NoError(t, entered(who.tryLogIn()))
	for n := range 5 {
		to := fmt.Sprintf("round%d-%d@kelp.example", round, n)
		who.send("/account/email", "/account/email", map[string]string{"email": to})
		asked[to] = true
	}
}

// underWay returns the emails that a killed server had begun to send, and expires their
// leases.
func underWay(t *testing.T, server *testprocess.Server) (ids []string) {
	t.Helper()
	db, err := database.Open(t.Context(), database.Config{URL: server.Setting("DATABASE_URL"), DataDir: filepath.Join(server.Dir, ".data"), Timeout: testkit.Patience})
	require.NoError(t, err)
	defer db.Close()
	rows, err := db.SQL().QueryContext(t.Context(), `UPDATE outbox SET turn_ms = turn_ms - $1 WHERE tries > 0 RETURNING id`, lease.Milliseconds())
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var id string
		require.NoError(t, rows.Scan(&id))
		ids = append(ids, id)
	}
	require.NoError(t, rows.Err())
	return ids
}
