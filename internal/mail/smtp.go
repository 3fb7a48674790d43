package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"

	"holdfast/internal/account"
	"holdfast/internal/hostname"
)

// smtpTimeout limits connecting, and separately the sending of one email: half of a
// lease together.
const smtpTimeout = 20 * time.Second

// SMTP sends email through a mail server.
type SMTP struct {
	from    *mail.Address
	options []gomail.Option
	host    string
	failure atomic.Pointer[failure] // the latest, if nothing has been sent since
}

// failure describes, in words for anyone, why an email could not be sent and will be
// retried.
type failure struct {
	words string
	at    time.Time
}

// NewSMTP returns the transport to the server at address,
// smtp://user:password@host:port (STARTTLS, without which nothing is sent unless the
// server is on this machine) or smtps:// (TLS from the start). from is the sender,
// "Name <address>". self is the host at which people reach this server, and its name in
// the greeting to the mail server. roots are the trusted certificate authorities; nil
// means those of the system.
func NewSMTP(address, from, self string, roots *x509.CertPool) (*SMTP, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("invalid SMTP_URL")
	}
	sender, err := parseSender(from)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(cmp.Or(u.Port(), map[string]string{"smtp": "587", "smtps": "465"}[u.Scheme]))
	if err != nil {
		return nil, errors.New("invalid port in SMTP_URL")
	}
	s := &SMTP{from: sender, host: u.Hostname()}
	local := u.Scheme == "smtp" && hostname.IsLoopback(s.host)
	security := gomail.WithTLSPolicy(gomail.TLSMandatory)
	switch {
	case u.Scheme == "smtps":
		security = gomail.WithSSL()
	case local:
		security = gomail.WithTLSPolicy(gomail.TLSOpportunistic)
	}
	s.options = []gomail.Option{
		gomail.WithTimeout(smtpTimeout),
		gomail.WithTLSConfig(&tls.Config{ServerName: s.host, RootCAs: roots, MinVersion: tls.VersionTLS12, InsecureSkipVerify: local}),
		security,
		gomail.WithPort(port), // must come after security, which sets a port
		gomail.WithHELO(helo(self, domainOf(sender))),
	}
	if u.User != nil {
		password, _ := u.User.Password()
		// The mechanisms that hide the password come last: many servers offer them
		// without being able to verify them, and the connection is encrypted, or local
		// (NoEnc), or has already failed.
		mechanisms := gomail.WithOpportunisticSMTPAuth(
			gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc, gomail.SMTPAuthSCRAMSHA256PLUS, gomail.SMTPAuthSCRAMSHA256,
			gomail.SMTPAuthSCRAMSHA1PLUS, gomail.SMTPAuthSCRAMSHA1, gomail.SMTPAuthCramMD5, gomail.SMTPAuthNTLM,
		)
		s.options = append(s.options, mechanisms, gomail.WithUsername(u.User.Username()), gomail.WithPassword(password))
	}
	return s, nil
}

// helo returns the name to send with EHLO: mail servers reject one without a dot, and
// require brackets around an IP address (RFC 5321, section 4.1.3).
func helo(self, domain string) string {
	switch ip, err := netip.ParseAddr(self); {
	case err == nil && ip.Is4():
		return "[" + self + "]"
	case err == nil:
		return "[IPv6:" + self + "]"
	case !strings.Contains(self, "."):
		return domain
	}
	return self
}

// Warnings implements [Transport]. It reports a failure until any instance has retried
// the email.
func (s *SMTP) Warnings() []string {
	if failed := s.failure.Load(); failed != nil && time.Since(failed.at) < mostPause+lease {
		return []string{failed.words}
	}
	return nil
}

// Send implements [Transport]. A message that the server has accepted counts as
// sent, even if closing the connection fails.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	client, err := gomail.NewClient(s.host, s.options...)
	if err != nil {
		return fmt.Errorf("create SMTP client: %w", err)
	}
	message, err := compose(m, s.from)
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, message)
	if err == nil || message.IsDelivered() {
		s.failure.Store(nil)
		return nil
	}
	code, failed := 0, fmt.Errorf("send email: %w", err)
	if answer, ok := errors.AsType[*textproto.Error](err); ok {
		code = answer.Code
	}
	if refused, ok := errors.AsType[*gomail.SendError](err); ok {
		code = refused.ErrorCode()
		if refused.Reason == gomail.ErrSMTPRcptTo && noSuchMailbox(refused.EnhancedStatusCode()) {
			s.failure.Store(nil)
			return fmt.Errorf("%w: recipient rejected with code %d", ErrRefused, code)
		}
		// Not wrapped: its text contains the recipient.
		failed = fmt.Errorf("send email: %v: code %d", refused.Reason, code)
		if refused.Reason == gomail.ErrSMTPRcptTo && strings.HasPrefix(refused.EnhancedStatusCode(), "5.2.") {
			return failed // about the recipient's mailbox, which is full or disabled
		}
	}
	switch {
	case code == 0:
		s.failure.Store(&failure{"email is not being sent: the mail server cannot be used", time.Now()})
	case code >= 500: // others are temporary
		s.failure.Store(&failure{fmt.Sprintf("email is not being sent: the mail server answers %d", code), time.Now()})
	}
	return failed
}

// noSuchMailbox reports whether a status is about the recipient's address (RFC 3463,
// section 3.2). An operator can fix the causes of all others: 5.1.7 and 5.1.8 are about
// the sender.
func noSuchMailbox(status string) bool {
	return strings.HasPrefix(status, "5.1.") && status != "5.1.7" && status != "5.1.8"
}

// compose encodes a message as an email (RFC 5322, MIME).
func compose(m Message, from *mail.Address) (*gomail.Msg, error) {
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := message.From(from.String()); err != nil {
		return nil, fmt.Errorf("compose email: sender: %w", err)
	}
	// Other spellings of an address, with <> or a comment, are rejected: each would be
	// throttled separately, but all would reach the same mailbox.
	to, problem := account.ParseAddress(m.To)
	if problem != "" || message.To((&mail.Address{Address: to.Wire}).String()) != nil {
		return nil, fmt.Errorf("%w: invalid recipient address", ErrRefused)
	}
	message.Subject(m.Subject)
	message.SetDateWithValue(m.Date)
	message.SetMessageIDWithValue(m.ID + "@" + domainOf(from))
	// This prevents automatic replies (RFC 3834, section 5; Exchange has its own
	// header), but not reports that the email was not delivered.
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetGenHeader("X-Auto-Response-Suppress", "DR, RN, NRN, OOF, AutoReply")
	message.SetBodyString(gomail.TypeTextPlain, m.Text)
	message.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return message, nil
}

// parseSender parses MAIL_FROM, "Name <address>", and converts its domain to ASCII.
func parseSender(from string) (*mail.Address, error) {
	sender, err := mail.ParseAddress(from)
	if err != nil {
		return nil, fmt.Errorf("invalid MAIL_FROM: %w", err)
	}
	address, problem := account.ParseAddress(sender.Address)
	if problem != "" {
		return nil, fmt.Errorf("invalid MAIL_FROM: %s", problem)
	}
	if strings.ContainsFunc(address.Wire, func(r rune) bool { return r > unicode.MaxASCII }) {
		return nil, errors.New("invalid MAIL_FROM: before the @ it must be ASCII, because not every mail server takes anything else")
	}
	sender.Address = address.Wire
	return sender, nil
}

func domainOf(a *mail.Address) string { return a.Address[strings.LastIndexByte(a.Address, '@')+1:] }
