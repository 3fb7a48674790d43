package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"holdfast/internal/hostname"
)

// smtpTimeout bounds connecting, and then again the sending of one email: half
// of a lease in all.
const smtpTimeout = 20 * time.Second

// SMTP hands mail to a mail server.
type SMTP struct {
	from    string
	where   string
	domain  string
	timeout time.Duration
	options []gomail.Option
	host    string
}

// NewSMTP returns the transport over the server at address, smtp://user:password@host:port
// (STARTTLS, without which nothing is sent unless the server is on this machine)
// or smtps:// (TLS from the start). from is the sender, "Name <address>". roots
// are the authorities that may vouch for the server; nil for the system's.
func NewSMTP(address, from string, roots *x509.CertPool) (*SMTP, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("invalid SMTP_URL")
	}
	sender, err := mail.ParseAddress(from)
	if err != nil {
		return nil, fmt.Errorf("invalid MAIL_FROM: %w", err)
	}
	port, err := strconv.Atoi(cmp.Or(u.Port(), map[string]string{"smtp": "587", "smtps": "465"}[u.Scheme]))
	if err != nil {
		return nil, errors.New("invalid port in SMTP_URL")
	}
	s := &SMTP{from: from, host: u.Hostname(), domain: sender.Address[strings.LastIndexByte(sender.Address, '@')+1:], timeout: smtpTimeout}
	s.where = net.JoinHostPort(s.host, strconv.Itoa(port))
	security := gomail.WithTLSPolicy(gomail.TLSMandatory)
	switch {
	case u.Scheme == "smtps":
		security = gomail.WithSSL()
	case hostname.IsLoopback(s.host):
		security = gomail.WithTLSPolicy(gomail.TLSOpportunistic)
	}
	s.options = []gomail.Option{
		gomail.WithTLSConfig(&tls.Config{ServerName: s.host, RootCAs: roots, MinVersion: tls.VersionTLS12}),
		security,
		gomail.WithPort(port), // after security, which sets one
	}
	if u.User != nil {
		password, _ := u.User.Password()
		s.options = append(s.options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(u.User.Username()), gomail.WithPassword(password))
	}
	return s, nil
}

// Where implements [Transport].
func (s *SMTP) Where() string { return "mail server " + s.where }

// Send implements [Transport]. A message that the server has accepted counts as
// sent, even if closing the connection fails.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	client, err := gomail.NewClient(s.host, append(slices.Clone(s.options), gomail.WithTimeout(s.timeout))...)
	if err != nil {
		return fmt.Errorf("create SMTP client: %w", err)
	}
	message, err := compose(m, s.from, s.domain)
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, message)
	if err == nil || message.IsDelivered() {
		return nil
	}
	refused, ok := errors.AsType[*gomail.SendError](err)
	switch {
	case !ok:
		return fmt.Errorf("send email: %w", err)
	case refused.Reason == gomail.ErrSMTPRcptTo && !refused.IsTemp() && refused.ErrorCode() >= 500:
		return fmt.Errorf("%w: recipient rejected with code %d", ErrRefused, refused.ErrorCode())
	default:
		// Not wrapped: its text names the recipient.
		return fmt.Errorf("send email: %v: code %d", refused.Reason, refused.ErrorCode())
	}
}

// compose encodes a message as an email (RFC 5322, MIME).
func compose(m Message, from, domain string) (*gomail.Msg, error) {
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := message.From(from); err != nil {
		return nil, fmt.Errorf("compose email: sender: %w", err)
	}
	// Other spellings of an address, with <> or a comment, are rejected: each would be
	// throttled separately, but all would reach the same mailbox.
	if to, err := mail.ParseAddress(m.To); err != nil || to.Address != m.To || message.To(m.To) != nil {
		return nil, fmt.Errorf("%w: invalid recipient address", ErrRefused)
	}
	message.Subject(m.Subject)
	message.SetDateWithValue(m.Date)
	message.SetMessageIDWithValue(m.ID + "@" + domain)
	// So that no automatic reply answers it (RFC 3834, section 5).
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetBodyString(gomail.TypeTextPlain, m.Text)
	message.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return message, nil
}
