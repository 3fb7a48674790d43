// Package mail sends email. It owns the outbox interface, the senders that share the
// work, the text and HTML of each email, and the transports: a mail server or a
// directory. It must not know about SQL or pages, or who gets which email: package
// account decides that.
package mail

import (
	"context"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"log/slog"
	"sync"
	texttemplate "text/template"
	"time"

	"holdfast/internal/account"
)

// Outbox is where emails wait, beside the people they are about. Each method
// is atomic across instances. Its own clock decides when an email is due, so that
// servers whose clocks differ agree.
type Outbox interface {
	// Take leases an email that is due to the caller. No other caller gets it until the
	// lease ends. ok is false if no email is due.
	Take(ctx context.Context, lease time.Duration) (l account.Email, ok bool, err error)
	// Remove deletes an email that the caller has taken. It does nothing if another
	// caller has taken it since.
	Remove(ctx context.Context, l account.Email) error
	// Postpone makes an email that the caller has taken due again after a pause.
	Postpone(ctx context.Context, l account.Email, pause time.Duration) error
}

// Transport delivers emails.
type Transport interface {
	// Send returns nil if the message was accepted. It returns in bounded time.
	// ErrRefused: a retry would be rejected too.
	Send(ctx context.Context, m Message) error
	// Warnings returns why email is not being sent, in words for anyone, if an operator
	// can change that.
	Warnings() []string
}

// ErrRefused means that the mail server has rejected an email permanently.
var ErrRefused = errors.New("email rejected permanently")

// Message is one email, ready to send.
type Message struct {
	ID       string // the same for every attempt to send the email
	To       string
	Subject  string
	Text     string
	HTML     string
	Date     time.Time
	ListedAs string // name of the email in a folder
}

const (
	// senders is how many emails one instance sends at the same time.
	senders = 2
	// lease is how long an email is leased to a sender. Every transport is faster, so two
	// senders send the same email only if the first was killed or hung after handing
	// it over: email is sent at least once.
	lease = 2 * time.Minute
	// giveUpAfter is how long sending is retried. RFC 5321, section 4.5.4.1, says 4
	// to 5 days, but links in an email have expired by then.
	giveUpAfter = 24 * time.Hour
	// firstPause is the wait after the first failure; each further one is twice
	// as long, up to mostPause.
	firstPause = 15 * time.Second
	mostPause  = time.Hour
	// pollEvery is how often an empty outbox is read.
	pollEvery = time.Second
)

// Config is what a Mailer needs.
type Config struct {
	Outbox    Outbox
	Accounts  *account.Service
	Transport Transport
	BaseURL   string // base of the links, without a path
	// Browser returns a readable name for a User-Agent.
	Browser func(userAgent string) string
	Log     *slog.Logger
}

// Mailer sends the emails that wait in an outbox. Any number of them share the work.
type Mailer struct {
	Config
	text *texttemplate.Template
	html *htmltemplate.Template
}

// New returns a Mailer. It returns an error if a template is broken.
func New(cfg Config) (*Mailer, error) {
	p := &Mailer{Config: cfg}
	if err := p.loadTemplates(); err != nil {
		return nil, fmt.Errorf("load email templates: %w", err)
	}
	return p, nil
}

// endGrace is how long sending may continue after Run's context is cancelled. After
// that the email stays in the outbox, and another server or the next start sends it: a
// mail server that hangs delays no restart.
const endGrace = time.Second

// Run sends email until ctx is cancelled. It then finishes sending within endGrace.
func (p *Mailer) Run(ctx context.Context) {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(endGrace, cancel) })()
	var all sync.WaitGroup
	for range senders {
		all.Go(func() { p.send(ctx, sending) })
	}
	all.Wait()
}

// send sends one email after another until ctx is cancelled; sending is cancelled
// later.
func (p *Mailer) send(ctx, sending context.Context) {
	for ctx.Err() == nil {
		found, err := p.Next(sending)
		if err != nil {
			p.Log.WarnContext(ctx, "outbox not read: database unavailable", "cause", err)
		}
		if !found {
			select {
			case <-ctx.Done():
			case <-time.After(pollEvery):
			}
		}
	}
}

// Next sends the next email that is due. It returns false if no email is due, and an
// error only if the outbox cannot be reached: an email that could not be sent is
// retried later.
func (p *Mailer) Next(ctx context.Context) (found bool, err error) {
	l, ok, err := p.Outbox.Take(ctx, lease)
	if err != nil || !ok {
		return false, err
	}
	m, err := p.deliver(ctx, l)
	ctx = context.WithoutCancel(ctx) // record what was done
	switch {
	case err == nil:
		p.Log.InfoContext(ctx, "email sent", "kind", m.Kind, "email_id", l.ID, "attempts", l.Tries)
	case errors.Is(err, account.ErrNotToSend):
		// Log nothing: the log must not show whether an address has an account.
	case errors.Is(err, ErrRefused), l.Taken.Sub(l.Created) >= giveUpAfter:
		p.Log.ErrorContext(ctx, "email abandoned", "kind", l.Kind, "email_id", l.ID, "attempts", l.Tries, "cause", err)
	default:
		p.Log.WarnContext(ctx, "email not sent, will retry", "kind", l.Kind, "email_id", l.ID, "attempts", l.Tries, "cause", err)
		return true, p.Outbox.Postpone(ctx, l, pauseAfter(l.Tries))
	}
	return true, p.Outbox.Remove(ctx, l)
}

// pauseAfter doubles firstPause for each further attempt.
func pauseAfter(tries int) time.Duration {
	const enough = 8 // doublings to pass mostPause
	return min(firstPause<<min(max(tries-1, 0), enough), mostPause)
}

func (p *Mailer) deliver(ctx context.Context, l account.Email) (account.OutgoingEmail, error) {
	m, err := p.Accounts.Address(ctx, l)
	if err != nil {
		return m, err
	}
	written, err := p.write(m)
	if err != nil {
		return m, err
	}
	written.ID, written.Date = l.ID, l.Created
	done := make(chan error, 1)
	go func() { done <- p.Transport.Send(ctx, written) }() // may notice late that ctx is cancelled
	select {
	case err := <-done:
		return m, err
	case <-ctx.Done():
		return m, ctx.Err()
	}
}
