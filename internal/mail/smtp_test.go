package mail_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"mime"
	"net"
	"os"
	"path/filepath"
	"slices"
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
		"a..b@docomo.ne.jp": false, "a.@docomo.ne.jp": false, "ada@example.org.": true, "ada@example..org": true, "ada@[127.0.0.1]": true,
	} {
		err := folder.Send(t.Context(), mail.Message{ID: "ID", To: to, Subject: "S", Text: "T", Date: time.Now(), ListedAs: "kind"})
		if errors.Is(err, mail.ErrRefused) != refused || err != nil && !refused {
			t.Errorf("%s: %v", to, err)
		}
	}
}

// postmaster is a real mail server on a free port of this machine. It can refuse or
// delay emails.
type postmaster struct {
	t     *testing.T
	addr  string
	roots *x509.CertPool

	mu      sync.Mutex
	taken   []string // complete emails
	secured int      // of those, how many over TLS
	users   []string // users who logged in
	senders []string // from MAIL
	names   []string // from EHLO, one for each recipient
	refuse  func(to string, tries int) error
	tries   map[string]int
	hang    chan struct{} // if not nil, DATA waits for it
}

type postmasterOptions struct {
	tls      bool // from the start
	starttls bool
	password string // required, if not ""
	// mechanisms are the login mechanisms; "" means PLAIN. All except PLAIN and LOGIN
	// fail.
	mechanisms string
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
	t.Cleanup(func() { server.Close(); listener.Close(); <-done }) // Close does not close the listener before Serve has started
	return p
}

// strangersName is the name of a mail server that is not on this machine.
const strangersName = "mail.kelp.example"

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "postmaster"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{strangersName}, IsCA: true, BasicConstraintsValid: true,
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
	return slices.Clone(p.taken)
}

type backend struct {
	*postmaster
	options postmasterOptions
}

func (b *backend) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, secure := c.TLSConnectionState()
	return &visit{p: b.postmaster, conn: c, options: b.options, secure: secure}, nil
}

type visit struct {
	p       *postmaster
	conn    *smtp.Conn
	options postmasterOptions
	secure  bool
	known   bool
}

func (v *visit) AuthMechanisms() []string {
	return strings.Fields(cmp.Or(v.options.mechanisms, sasl.Plain))
}

func (v *visit) Auth(mechanism string) (sasl.Server, error) {
	check := func(_, user, password string) error {
		if password != v.options.password {
			return smtp.ErrAuthFailed
		}
		v.known = true
		v.p.mu.Lock()
		defer v.p.mu.Unlock()
		v.p.users = append(v.p.users, user)
		return nil
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(check), nil
	case sasl.Login:
		return &loginServer{check: check}, nil
	}
	return nil, smtp.ErrAuthFailed
}

// loginServer is the server's side of AUTH LOGIN, which sasl lacks.
type loginServer struct {
	said  []string
	check func(_, user, password string) error
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if response != nil {
		l.said = append(l.said, string(response))
	}
	if len(l.said) < 2 {
		return []byte([]string{"Username:", "Password:"}[len(l.said)]), false, nil
	}
	return nil, true, l.check("", l.said[0], l.said[1])
}

func (v *visit) Mail(from string, _ *smtp.MailOptions) error {
	v.p.mu.Lock()
	defer v.p.mu.Unlock()
	v.p.senders = append(v.p.senders, from)
	if v.options.password != "" && !v.known {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (v *visit) Rcpt(to string, _ *smtp.RcptOptions) error {
	v.p.mu.Lock()
	defer v.p.mu.Unlock()
	v.p.tries[to]++
	v.p.names = append(v.p.names, v.conn.Hostname())
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
	way, err := mail.NewSMTP(scheme+"://"+user+p.addr, "Kelp <login@kelp.example>", "login.kelp.example", p.roots)
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
		"STARTTLS by a stranger":       {"smtp", postmasterOptions{starttls: true}, false},
		"no STARTTLS by a stranger":    {"smtp", postmasterOptions{}, true},
		"a password without STARTTLS":  {"smtp", postmasterOptions{password: "sesame"}, true},
		"TLS by a stranger on machine": {"smtps", postmasterOptions{tls: true}, false},
		"smtps without TLS":            {"smtps", postmasterOptions{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := startPostmaster(t, test.options)
			if !test.roots {
				p.roots = x509.NewCertPool()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			way := p.way(t, test.scheme, "")
			if test.scheme == "smtp" {
				way = p.distant(t, "ada:sesame@")
			}
			if err := way.Send(ctx, message("ada@kelp.example")); err == nil || errors.Is(err, mail.ErrRefused) {
				t.Errorf("%v", err)
			}
			if mails := p.mails(); len(mails) != 0 || len(p.users) != 0 {
				t.Errorf("sent all the same: %q, a password of %q", mails, p.users)
			}
			if got := way.Warnings(); !slices.Equal(got, []string{"email is not being sent: the mail server cannot be used"}) {
				t.Errorf("it warns %q", got)
			}
		})
	}
}

// distant returns a transport to the server, as if it were not on this machine.
func (p *postmaster) distant(t *testing.T, user string) *mail.SMTP {
	t.Helper()
	way, err := mail.NewSMTP("smtp://"+user+strangersName, "Kelp <login@kelp.example>", "login.kelp.example", p.roots)
	require.NoError(t, err)
	way.DialAt(p.addr)
	return way
}

func TestAMailServerOnThisMachineNeedsNoEncryptionAndNoCertificate(t *testing.T) {
	const user, password = "ada:sesame@", "sesame"
	for name, options := range map[string]postmasterOptions{
		"PLAIN without encryption": {password: password}, "LOGIN without encryption": {password: password, mechanisms: "LOGIN"},
		"mechanisms that fail before": {password: password, mechanisms: "SCRAM-SHA-256 CRAM-MD5 NTLM LOGIN"}, "NTLM LOGIN": {password: password, mechanisms: "NTLM LOGIN"},
		"a certificate of its own": {password: password, starttls: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := startPostmaster(t, options)
			p.roots = x509.NewCertPool()
			way := p.way(t, "smtp", user)
			require.NoError(t, way.Send(t.Context(), message("ada@kelp.example")))
			if len(p.mails()) != 1 || !slices.Equal(p.users, []string{"ada"}) || (p.secured == 1) != options.starttls {
				t.Errorf("%d mails, %d over TLS, users %q", len(p.mails()), p.secured, p.users)
			}
		})
	}
	p := startPostmaster(t, postmasterOptions{starttls: true, password: password, mechanisms: "NTLM LOGIN"})
	require.NoError(t, p.distant(t, user).Send(t.Context(), message("ada@kelp.example")))
	if len(p.mails()) != 1 || p.secured != 1 {
		t.Errorf("to another machine %d mails, %d over TLS", len(p.mails()), p.secured)
	}
}

func TestTheMailServerGetsAFullNameForThisServer(t *testing.T) {
	p := startPostmaster(t, postmasterOptions{})
	for self, want := range map[string]string{
		"login.kelp.example": "login.kelp.example", "192.0.2.7": "[192.0.2.7]", "2001:db8::1": "[IPv6:2001:db8::1]", "localhost": "kelp.example", "1a2b3c4d": "kelp.example",
	} {
		way, err := mail.NewSMTP("smtp://"+p.addr, "login@kelp.example", self, nil)
		require.NoError(t, err)
		require.NoError(t, way.Send(t.Context(), message("ada@kelp.example")))
		if got := p.names[len(p.names)-1]; got != want {
			t.Errorf("%s calls itself %q, want %q", self, got, want)
		}
	}
}

// TestAnAddressIsWrittenAsMailServersReadIt covers servers without SMTPUTF8, and
// mailboxes whose dots need quotes.
func TestAnAddressIsWrittenAsMailServersReadIt(t *testing.T) {
	p := startPostmaster(t, postmasterOptions{})
	const from = "Käpten <login@bücher.example>"
	way, err := mail.NewSMTP("smtp://"+p.addr, from, "login.kelp.example", nil)
	require.NoError(t, err)
	dir := t.TempDir()
	folder := mail.NewFolder(dir, from, slog.New(slog.DiscardHandler))
	for to, header := range map[string]string{
		"ada@bücher.example": "<ada@xn--bcher-kva.example>", "ada@xn--bcher-kva.example": "<ada@xn--bcher-kva.example>",
		"a..b@docomo.ne.jp": `<"a..b"@docomo.ne.jp>`, "a.@docomo.ne.jp": `<"a."@docomo.ne.jp>`,
	} {
		require.NoError(t, way.Send(t.Context(), message(to)))
		require.NoError(t, folder.Send(t.Context(), message(to)))
		file, err := os.ReadFile(filepath.Join(dir, filesIn(t, dir)[0]))
		require.NoError(t, err)
		mails := p.mails()
		for _, sent := range []string{mails[len(mails)-1], string(file)} {
			for _, want := range []string{
				"To: " + header + "\r\n", "<login@xn--bcher-kva.example>\r\n", "Message-ID: <email-1@xn--bcher-kva.example>\r\n",
				"Auto-Submitted: auto-generated\r\n", "X-Auto-Response-Suppress: DR, RN, NRN, OOF, AutoReply\r\n",
			} {
				if !strings.Contains(sent, want) {
					t.Errorf("to %s: the mail lacks %q:\n%s", to, want, sent)
				}
			}
		}
		if got := p.senders[len(p.senders)-1]; got != "login@xn--bcher-kva.example" {
			t.Errorf("the sender is %q", got)
		}
	}
	if _, ok := p.tries["ada@xn--bcher-kva.example"]; !ok || len(p.tries) != 3 {
		t.Errorf("recipients %v", p.tries)
	}
	if shown, err := folder.Latest(); err != nil || shown[0].From != from {
		t.Errorf("shown %+v, %v", shown, err)
	}
	if _, err := mail.NewSMTP("smtp://"+p.addr, "login@xn--a.example", "login.kelp.example", nil); err == nil {
		t.Error("a sender whose domain is none is accepted")
	}
}

func TestARefusalForGoodIsToldFromOneForNow(t *testing.T) {
	p := startPostmaster(t, postmasterOptions{starttls: true})
	refusals := map[string]*smtp.SMTPError{
		"nobody":  {Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"},
		"nullmx":  {Code: 556, EnhancedCode: smtp.EnhancedCode{5, 1, 10}, Message: "null MX"},
		"relay":   {Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "relay access denied"},
		"helo":    {Code: 504, EnhancedCode: smtp.EnhancedCode{5, 5, 2}, Message: "need fully-qualified hostname"},
		"sender":  {Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 8}, Message: "sender's domain not found"},
		"unclear": {Code: 550, EnhancedCode: smtp.EnhancedCode{5, 0, 0}, Message: "no"},
		"full":    {Code: 552, EnhancedCode: smtp.EnhancedCode{5, 2, 2}, Message: "mailbox full"},
		"grey":    {Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "come back later"},
	}
	p.refuse = func(to string, tries int) error {
		name, _, _ := strings.Cut(to, "@")
		if refusal, ok := refusals[name]; ok && (name != "grey" || tries == 1) {
			return refusal
		}
		return nil
	}
	way := p.way(t, "smtp", "")
	send := func(name string, final bool, warnings ...string) {
		t.Helper()
		err := way.Send(t.Context(), message(name+"@kelp.example"))
		if err == nil || errors.Is(err, mail.ErrRefused) != final || strings.Contains(err.Error(), name+"@") {
			t.Errorf("%s: %v", name, err)
		}
		if got := way.Warnings(); !slices.Equal(got, warnings) {
			t.Errorf("%s: warnings %q, want %q", name, got, warnings)
		}
	}
	send("nobody", true)
	send("grey", false)
	send("full", false)
	for _, name := range []string{"relay", "helo", "sender", "unclear"} {
		send(name, false, fmt.Sprintf("email is not being sent: the mail server answers %d", refusals[name].Code))
	}
	send("nullmx", true)
	send("<b>", true)
	send("relay", false, "email is not being sent: the mail server answers 554")
	if err := way.Send(t.Context(), message("grey@kelp.example")); err != nil || len(way.Warnings()) > 0 {
		t.Errorf("once more: %v, %q", err, way.Warnings())
	}
	if mails := p.mails(); len(mails) != 1 {
		t.Errorf("%d mails were taken", len(mails))
	}
}
