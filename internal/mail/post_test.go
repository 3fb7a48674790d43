package mail_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/mail"
	"holdfast/internal/text"
)

// office is an outbox in a real database, with people and a clock.
type office struct {
	t        *testing.T
	config   database.Config
	db       *database.DB
	accounts *account.Service
	clock    testkit.Clock
	log      testkit.Log
}

func onBoth(t *testing.T, test func(t *testing.T, o *office)) {
	t.Helper()
	t.Parallel()
	testkit.BothDatabases(t, func(t *testing.T, cfg database.Config) { test(t, newOffice(t, cfg)) })
}

func newOffice(t *testing.T, cfg database.Config) *office {
	t.Helper()
	o := &office{t: t, config: cfg}
	o.db = o.open()
	o.accounts = o.accountsAt(o.clock.Now)
	return o
}

func (o *office) open() *database.DB {
	o.t.Helper()
	return testkit.OpenDatabase(o.t, o.config)
}

func (o *office) accountsAt(now func() time.Time) *account.Service {
	return account.New(account.Config{Store: o.db.People(), Hasher: testkit.Hasher(), Now: now})
}

// pass advances the clock. The database's clock cannot be set, so emails in the outbox
// get older instead.
func (o *office) pass(d time.Duration) {
	o.t.Helper()
	o.clock.Advance(d)
	_, err := o.db.SQL().ExecContext(o.t.Context(), `UPDATE outbox SET created_ms = created_ms - $1, turn_ms = turn_ms - $1`, d.Milliseconds())
	require.NoError(o.t, err)
}

// post returns a sender with a separate database handle, as another instance has.
func (o *office) post(way mail.Transport) *mail.Mailer {
	o.t.Helper()
	post, err := mail.New(mail.Config{
		Outbox: o.open().Outbox(), Accounts: o.accounts, Transport: way, BaseURL: "https://login.kelp.example",
		Browser: func(string) string { return "Firefox on Linux" }, Log: o.log.Logger(),
	})
	require.NoError(o.t, err)
	return post
}

// ask asks for a reset email.
func (o *office) ask(email string) {
	o.t.Helper()
	require.NoError(o.t, o.accounts.AskReset(o.t.Context(), email, text.Sender{UserAgent: "x", Address: "192.0.2.1"}))
}

// person registers a person and returns their address.
func (o *office) person(email string) string {
	o.t.Helper()
	_, err := o.accounts.Register(o.t.Context(), account.Registration{Name: "Ada", Email: email, Password: "nine kelp forests at dawn"})
	require.NoError(o.t, err)
	return email
}

// number returns the result of a query of the outbox.
func (o *office) number(query string) (n int64) {
	o.t.Helper()
	require.NoError(o.t, o.db.SQL().QueryRowContext(o.t.Context(), query).Scan(&n))
	return n
}

// waiting returns how many emails are in the outbox.
func (o *office) waiting() int64 {
	o.t.Helper()
	return o.number(`SELECT count(*) FROM outbox`)
}

// turn returns when the one email in the outbox may be taken, in milliseconds.
func (o *office) turn() int64 {
	o.t.Helper()
	return o.number(`SELECT turn_ms FROM outbox`)
}

// sendNext sends the next email in the background. It returns when the sender has
// begun; the channel gets the result.
func (o *office) sendNext(p *mail.Mailer) (done chan error) {
	o.t.Helper()
	done = make(chan error, 1)
	go func() { _, err := p.Next(context.Background()); done <- err }()
	testkit.Eventually(o.t, testkit.Patience, "begin to send the email", func() error {
		if n := o.number(`SELECT tries FROM outbox`); n != 1 {
			return fmt.Errorf("begun %d times", n)
		}
		return nil
	})
	return done
}

// take takes the next email as a sender that then stops working.
func (o *office) take() {
	o.t.Helper()
	if _, ok, err := o.db.Outbox().Take(o.t.Context(), 2*time.Minute); !ok || err != nil {
		o.t.Fatal(ok, err)
	}
}

func (o *office) next(p *mail.Mailer) bool {
	o.t.Helper()
	found, err := p.Next(o.t.Context())
	require.NoError(o.t, err)
	return found
}

func TestManySendersShareTheWorkAndSendEachMailOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, o *office) {
		p := startPostmaster(t, postmasterOptions{starttls: true})
		o.person("ada@kelp.example")
		const emails = 30
		for range emails {
			o.ask("ada@kelp.example")
		}
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 3 {
			post := o.post(p.way(t, "smtp", ""))
			all.Go(func() { post.Run(ctx) })
		}
		testkit.Eventually(t, time.Minute, "empty the outbox", func() error {
			if n := o.waiting(); n > 0 {
				return fmt.Errorf("%d emails wait", n)
			}
			return nil
		})
		stop()
		all.Wait()
		ids := map[string]int{}
		for _, m := range p.mails() {
			_, rest, _ := strings.Cut(m, "Message-ID: ")
			id, _, _ := strings.Cut(rest, "\r\n")
			ids[id]++
		}
		if len(ids) != emails || len(p.mails()) != emails {
			t.Errorf("%d mails of %d emails", len(p.mails()), len(ids))
		}
	})
}

func TestAMailNobodyHasAnAccountForIsNotSentNorLogged(t *testing.T) {
	onBoth(t, func(t *testing.T, o *office) {
		p := startPostmaster(t, postmasterOptions{starttls: true})
		o.ask("nobody@kelp.example")
		post := o.post(p.way(t, "smtp", ""))
		if !o.next(post) || o.next(post) || o.waiting() != 0 || len(p.mails()) != 0 || o.log.String() != "" {
			t.Errorf("%d waiting, %d mails, log %q", o.waiting(), len(p.mails()), o.log.String())
		}
	})
}

func TestGreylistedMailIsTriedAgainAndLater(t *testing.T) {
	onBoth(t, func(t *testing.T, o *office) {
		p := startPostmaster(t, postmasterOptions{starttls: true})
		p.refuse = func(_ string, tries int) error {
			if tries < 3 {
				return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "come back later"}
			}
			return nil
		}
		o.ask(o.person("ada@kelp.example"))
		post := o.post(p.way(t, "smtp", ""))
		for _, pause := range []time.Duration{15 * time.Second, 30 * time.Second} {
			if !o.next(post) || o.next(post) {
				t.Fatal("not tried, or tried again at once")
			}
			o.pass(pause - 10*time.Second)
			if o.next(post) {
				t.Fatal("tried again too early")
			}
			o.pass(11 * time.Second)
		}
		if !o.next(post) || o.waiting() != 0 || len(p.mails()) != 1 {
			t.Errorf("%d waiting, %d mails", o.waiting(), len(p.mails()))
		}
	})
}

func TestAMailIsGivenUpAfterADayOrARefusalForGoodWithALineInTheLog(t *testing.T) {
	onBoth(t, func(t *testing.T, o *office) {
		p := startPostmaster(t, postmasterOptions{starttls: true})
		p.refuse = func(to string, _ int) error {
			if strings.HasPrefix(to, "gone") {
				return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
			}
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "not now"}
		}
		o.ask(o.person("gone@kelp.example"))
		post := o.post(p.way(t, "smtp", ""))
		if !o.next(post) || o.waiting() != 0 || strings.Count(o.log.String(), "email abandoned") != 1 {
			t.Errorf("refused for good: %d waiting, log %s", o.waiting(), o.log.String())
		}
		o.ask(o.person("ada@kelp.example"))
		began := o.clock.Now()
		tries := 0
		for o.waiting() > 0 && tries < 100 {
			if o.next(post) {
				tries++
			}
			o.pass(5 * time.Minute)
		}
		if took := o.clock.Now().Sub(began); took < 24*time.Hour || took > 26*time.Hour || tries < 10 || tries > 40 {
			t.Errorf("given up after %s and %d tries", took, tries)
		}
		if log := o.log.String(); strings.Count(log, "email abandoned") != 2 || strings.Contains(log, "@kelp") {
			t.Errorf("log %s", log)
		}
	})
}

func TestAMailWhoseSenderWasKilledIsSentByAnother(t *testing.T) {
	onBoth(t, func(t *testing.T, o *office) {
		p := startPostmaster(t, postmasterOptions{starttls: true})
		o.ask(o.person("ada@kelp.example"))
		o.take()
		post := o.post(p.way(t, "smtp", ""))
		if o.next(post) {
			t.Fatal("sent while it is another's")
		}
		o.pass(2*time.Minute + time.Second)
		if !o.next(post) || o.waiting() != 0 || len(p.mails()) != 1 {
			t.Errorf("%d waiting, %d mails", o.waiting(), len(p.mails()))
		}
	})
}

// stuck is a transport whose Send blocks until the channel is closed.
type stuck struct{ until chan struct{} }

func (s stuck) Warnings() []string { return nil }
func (s stuck) Send(context.Context, mail.Message) error {
	<-s.until
	return errors.New("too late")
}

func TestALateSenderTakesNothingFromTheOneAfterIt(t *testing.T) {
	onBoth(t, func(t *testing.T, o *office) {
		o.ask(o.person("ada@kelp.example"))
		way := stuck{make(chan struct{})}
		done := o.sendNext(o.post(way))
		o.pass(3 * time.Minute)
		o.take()
		turn := o.turn()
		close(way.until)
		require.NoError(t, <-done)
		if now := o.turn(); now != turn {
			t.Errorf("its turn is %d, want %d", now, turn)
		}
	})
}

func TestAMailServerThatHangsIsGivenUpInBoundedTime(t *testing.T) {
	t.Parallel()
	const limit = time.Second
	p := startPostmaster(t, postmasterOptions{starttls: true})
	p.hang = make(chan struct{})
	t.Cleanup(func() { close(p.hang) })
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { silent.Close() }) // it accepts no connections
	mute, err := mail.NewSMTP("smtp://"+silent.Addr().String(), "Kelp <login@kelp.example>", "login.kelp.example", nil)
	require.NoError(t, err)
	for name, way := range map[string]*mail.SMTP{"in the middle of a mail": p.way(t, "smtp", ""), "from the start": mute} {
		way.GiveUpAfter(limit)
		ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
		err := way.Send(ctx, message("ada@kelp.example"))
		if err == nil || errors.Is(err, mail.ErrRefused) || ctx.Err() != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

func TestEveryMailIsWordedInTextAndHTMLAlike(t *testing.T) {
	o := newOffice(t, testkit.SQLite(t))
	o.person("ada@kelp.example")
	o.person("bob@kelp.example")
	people, _, err := o.accounts.List(t.Context(), "", 2)
	require.NoError(t, err)
	_, err = o.db.SQL().ExecContext(t.Context(), `UPDATE people SET delete_after_ms = 1 WHERE id = $1`, people[1].ID)
	require.NoError(t, err)
	folder := filepath.Join(t.TempDir(), "mail")
	way := mail.NewFolder(folder, "Holdfast <holdfast@localhost>", slog.New(slog.DiscardHandler))
	post := o.post(way)
	evil := account.EmailData{Name: "<b>Ada</b>", Email: "x@y", Agent: "<i>", Address: "192.0.2.1", At: o.clock.Now()}
	for n, kind := range account.EmailKinds() {
		to := fmt.Sprintf("somebody%d@kelp.example", n)
		if kind == account.EmailReset || kind == account.EmailWelcome {
			to = "ada@kelp.example"
		}
		about := people[0].ID
		if kind == account.EmailClosing {
			about = people[1].ID
		}
		err := o.db.People().Audit(t.Context(), account.Audit{Emails: []account.Email{{
			ID: fmt.Sprintf("email%02d", n), Kind: kind, Person: about, To: to, Data: evil,
		}}})
		require.NoError(t, err)
	}
	for o.next(post) {
	}
	shown, err := way.Latest()
	if err != nil || len(shown) != len(account.EmailKinds()) {
		t.Fatalf("%d mails of %d, %v", len(shown), len(account.EmailKinds()), err)
	}
	for _, m := range shown {
		for line := range strings.Lines(m.Text) {
			if len([]rune(line)) > 77 && !strings.HasPrefix(line, "https://") {
				t.Errorf("%s: a line of %d characters", m.Subject, len([]rune(line)))
			}
		}
		if strings.Contains(m.Text, "{{") || strings.Contains(m.Text, "<no value>") || m.Subject == "" || strings.Contains(m.Text, "\n> ") {
			t.Errorf("%s:\n%s", m.Subject, m.Text)
		}
	}
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	links := 0
	for _, file := range files {
		info, err := file.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", file.Name(), info.Mode(), err)
		}
		source, err := os.ReadFile(filepath.Join(folder, file.Name()))
		require.NoError(t, err)
		_, html, _ := strings.Cut(string(source), "text/html")
		if strings.Contains(html, "<b>Ada") || !strings.Contains(html, "</html>") {
			t.Errorf("%s: %s", file.Name(), html)
		}
		plain := strings.NewReplacer("=\r\n", "", "=3D", "=").Replace(string(source)) // quoted-printable
		for _, link := range regexp.MustCompile(`(?m)^https://\S+\?token=[\w-]+`).FindAllString(plain, -1) {
			links++
			if !strings.Contains(plain, `href="`+link+`"`) {
				t.Errorf("%s: no link to %s in the HTML", file.Name(), link)
			}
		}
	}
	if links < 4 {
		t.Errorf("%d links in all mails", links)
	}
}

// TestServersWhoseClocksDifferSendOneMailOnceAndAtOnce runs two servers whose clocks
// are ten minutes apart. One wrote the email, and both send.
func TestServersWhoseClocksDifferSendOneMailOnceAndAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, o *office) {
		o.person("ada@kelp.example")
		for _, apart := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
			there := o.accountsAt(func() time.Time { return time.Now().Add(apart) })
			require.NoError(t, there.AskReset(t.Context(), "ada@kelp.example", text.Sender{}))
			way := stuck{make(chan struct{})}
			first := o.post(way)
			first.Accounts = there
			done := o.sendNext(first)
			if o.next(o.post(way)) {
				t.Errorf("%s apart: the other takes what is being sent", apart)
			}
			close(way.until)
			require.NoError(t, <-done)
			o.pass(15*time.Second + time.Millisecond)
			if _, ok, err := o.db.Outbox().Take(t.Context(), time.Minute); !ok || err != nil {
				t.Errorf("%s apart: its next turn does not come after the pause: %v", apart, err)
			}
			if _, err := o.db.SQL().ExecContext(t.Context(), `DELETE FROM outbox`); err != nil {
				t.Fatal(err)
			}
		}
	})
}
