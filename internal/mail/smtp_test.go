package mail_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"mime"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"holdfast/internal/dev/require"
	"holdfast/internal/mail"
)

func TestAMailGoesToTheVeryAddressOrNowhere(t *testing.T) {
	folder := mail.NewFolder(t.TempDir(), "Holdfast <holdfast@example.org>", slog.New(slog.DiscardHandler))
	for to, refused := range map[string]bool{
		"ada@example.org": false, "ü@example.org": false, "ada+x@münchen.example": false,
		"<ada@example.org>": true, "x<ada@example.org>": true, "ada@example.org(x)": true, `"ada"@example.org`: true,
	} {
		err := folder.Send(t.Context(), mail.Message{ID: "ID", To: to, Subject: "S", Text: "T", Date: time.Now(), ListedAs: "kind"})
		if errors.Is(err, mail.ErrRefused) != refused || err != nil && !refused {
			t.Errorf("%s: %v", to, err)
		}
	}
}

// postmaster is a real mail server on a free port of this machine, and what it
// does to a client that hands it an email.
type postmaster struct {
	t     *testing.T
	addr  string
	roots *x509.CertPool

	mu      sync.Mutex
	taken   []string // emails, whole
	secured int      // of those, how many over TLS
	users   []string // who logged in
	refuse  func(to string, tries int) error
	tries   map[string]int
	hang    chan struct{} // not nil: DATA waits for it
}

type postmasterOptions struct {
	tls      bool // from the start
	starttls bool
	password string // asked for, if not ""
}

func startPostmaster(t *testing.T, o postmasterOptions) *postmaster {
	t.Helper()
	p := &postmaster{t: t, tries: map[string]int{}}
	certificate, roots := selfSigned(t)
	p.roots = roots
	server := smtp.NewServer(&backend{p, o})
	server.Domain = "localhost"
	server.AllowInsecureAuth = !o.tls && !o.starttls
	server.EnableSMTPUTF8 = true
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	if o.starttls {
		server.TLSConfig = config
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p.addr = listener.Addr().String()
	if o.tls {
		listener = tls.NewListener(listener, config)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close(); <-done })
	return p
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "postmaster"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func (p *postmaster) mails() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.taken...)
}

type backend struct {
	*postmaster
	options postmasterOptions
}

func (b *backend) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, secure := c.TLSConnectionState()
	return &visit{p: b.postmaster, password: b.options.password, secure: secure}, nil
}

type visit struct {
	p        *postmaster
	password string
	secure   bool
	known    bool
	to       string
}

func (v *visit) AuthMechanisms() []string { return []string{sasl.Plain} }

func (v *visit) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != v.password {
			return smtp.ErrAuthFailed
		}
		v.known = true
		v.p.mu.Lock()
		defer v.p.mu.Unlock()
		v.p.users = append(v.p.users, user)
		return nil
	}), nil
}

func (v *visit) Mail(string, *smtp.MailOptions) error {
	if v.password != "" && !v.known {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (v *visit) Rcpt(to string, _ *smtp.RcptOptions) error {
	v.p.mu.Lock()
	defer v.p.mu.Unlock()
	v.to = to
	v.p.tries[to]++
	if v.p.refuse != nil {
		return v.p.refuse(to, v.p.tries[to])
	}
	return nil
}

func (v *visit) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	v.p.mu.Lock()
	hang := v.p.hang
	v.p.mu.Unlock()
	if hang != nil {
		<-hang
	}
	v.p.mu.Lock()
	defer v.p.mu.Unlock()
	v.p.taken = append(v.p.taken, string(text))
	if v.secure {
		v.p.secured++
	}
	return nil
}

func (v *visit) Reset()        {}
func (v *visit) Logout() error { return nil }

func (p *postmaster) way(t *testing.T, scheme, user string) *mail.SMTP {
	t.Helper()
	way, err := mail.NewSMTP(scheme+"://"+user+p.addr, "Kelp <login@kelp.example>", p.roots)
	require.NoError(t, err)
	return way
}

func message(to string) mail.Message {
	return mail.Message{
		ID: "email-1", To: to, Subject: "Grüße from Holdfast", Date: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC),
		Text: "Hello,\n\nA line that begins with a dot:\n.\nand goes on.\n", HTML: "<p>Hello</p>", ListedAs: "reset",
	}
}

func TestMailIsHandedOverEncryptedAndWhole(t *testing.T) {
	for name, test := range map[string]struct {
		scheme, user string
		options      postmasterOptions
	}{
		"STARTTLS":           {"smtp", "ada:sesame%40kelp@", postmasterOptions{starttls: true, password: "sesame@kelp"}},
		"TLS from the start": {"smtps", "ada:sesame%40kelp@", postmasterOptions{tls: true, password: "sesame@kelp"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := startPostmaster(t, test.options)
			require.NoError(t, p.way(t, test.scheme, test.user).Send(t.Context(), message("ada@kelp.example")))
			mails := p.mails()
			if len(mails) != 1 || p.secured != 1 || len(p.users) != 1 || p.users[0] != "ada" {
				t.Fatalf("%d mails, %d over TLS, users %q", len(mails), p.secured, p.users)
			}
			for _, want := range []string{
				"From: \"Kelp\" <login@kelp.example>\r\n", "To: <ada@kelp.example>\r\n", "Message-ID: <email-1@kelp.example>\r\n",
				"Auto-Submitted: auto-generated\r\n", "Content-Type: text/plain; charset=UTF-8", "Content-Type: text/html; charset=UTF-8",
				"\r\n.\r\nand goes on.", "Subject: " + mime.QEncoding.Encode("UTF-8", "Grüße from Holdfast") + "\r\n", "Date: Wed, 04 Mar 2026 12:00:00 +0000\r\n",
			} {
				if !strings.Contains(mails[0], want) {
					t.Errorf("the mail lacks %q:\n%s", want, mails[0])
				}
			}
		})
	}
}

func TestNothingIsSentWhereTheServerCannotBeTrusted(t *testing.T) {
	for name, test := range map[string]struct {
		scheme  string
		options postmasterOptions
		roots   bool
	}{
		"STARTTLS by a stranger": {"smtp", postmasterOptions{starttls: true}, false},
		"TLS by a stranger":      {"smtps", postmasterOptions{tls: true}, false},
		"smtps without TLS":      {"smtps", postmasterOptions{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := startPostmaster(t, test.options)
			if !test.roots {
				p.roots = x509.NewCertPool()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := p.way(t, test.scheme, "").Send(ctx, message("ada@kelp.example")); err == nil || errors.Is(err, mail.ErrRefused) {
				t.Errorf("%v", err)
			}
			if mails := p.mails(); len(mails) != 0 {
				t.Errorf("sent all the same: %q", mails)
			}
		})
	}
}

func TestARefusalForGoodIsToldFromOneForNow(t *testing.T) {
	p := startPostmaster(t, postmasterOptions{starttls: true})
	p.refuse = func(to string, tries int) error {
		switch {
		case strings.HasPrefix(to, "nobody"):
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
		case strings.HasPrefix(to, "grey") && tries == 1:
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "come back later"}
		}
		return nil
	}
	way := p.way(t, "smtp", "")
	err := way.Send(t.Context(), message("nobody@kelp.example"))
	if !errors.Is(err, mail.ErrRefused) || strings.Contains(err.Error(), "nobody@") {
		t.Errorf("no such user: %v", err)
	}
	if err := way.Send(t.Context(), message("<b>@kelp.example")); !errors.Is(err, mail.ErrRefused) {
		t.Errorf("no address for mail: %v", err)
	}
	err = way.Send(t.Context(), message("grey@kelp.example"))
	if err == nil || errors.Is(err, mail.ErrRefused) || strings.Contains(err.Error(), "grey@") {
		t.Errorf("greylisted: %v", err)
	}
	if err := way.Send(t.Context(), message("grey@kelp.example")); err != nil {
		t.Errorf("once more: %v", err)
	}
	if mails := p.mails(); len(mails) != 1 {
		t.Errorf("%d mails were taken", len(mails))
	}
}
