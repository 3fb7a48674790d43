package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/session"
	"holdfast/internal/text"
	"holdfast/web"
)

// site is the settings of one installation. It can also open the stores without the
// commands.
type site struct {
	t        *testing.T
	settings map[string]string
}

func embeddedSite(t *testing.T) site {
	s := site{t, map[string]string{
		"DATA_DIR": t.TempDir(), "HOST": "127.0.0.1", "PORT": strconv.Itoa(testservice.FreePort(t)),
		"REDIS_TIMEOUT": "10s", "REDIS_CONNECT_TIMEOUT": "10s", "DATABASE_TIMEOUT": "10s", // a busy machine is slow, not down
	}}
	s.must("migrate")
	return s
}

func servedSite(t *testing.T) site {
	s := embeddedSite(t)
	s.settings["REDIS_URL"], s.settings["DATABASE_URL"] = testservice.Redis(t).URL, testkit.Postgres(t).URL
	return s
}

func (s site) getenv(name string) string { return s.settings[name] }

// tell runs one command and returns its standard output.
func (s site) tell(stdin string, args ...string) (said string, err error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	err = run(ctx, args, s.getenv, strings.NewReader(stdin), &stdout, &stderr)
	return stdout.String(), err
}

func (s site) must(args ...string) string {
	s.t.Helper()
	said, err := s.tell("", args...)
	if err != nil {
		s.t.Fatalf("%q: %v", args, err)
	}
	return said
}

func (s site) add(name, email string) {
	s.t.Helper()
	if said, err := s.tell("nine kelp forests at dawn\n", "users", "add", "--name", name, "--email", email); err != nil || !strings.Contains(said, "Added "+name+" <"+email+">") {
		s.t.Fatalf("add %s: %q, %v", name, said, err)
	}
}

// refused runs a command that must fail with these words.
func (s site) refused(words string, args ...string) {
	s.t.Helper()
	if said, err := s.tell("", args...); err == nil || !strings.Contains(err.Error(), words) {
		s.t.Errorf("%q said %q, %v; want it refused with %q", args, said, err, words)
	}
}

// stores opens the site's stores as the server does, for this call only.
func (s site) stores(use func(m *session.Manager, person string)) {
	s.t.Helper()
	_, cfg, err := config.Parse([]string{"serve"}, s.getenv, "", &bytes.Buffer{})
	require.NoError(s.t, err)
	ctx := context.Background()
	p := &program{cfg: cfg, log: slog.New(slog.DiscardHandler), process: web.Process{Start: 1}}
	defer p.close(&err)
	require.NoError(s.t, p.open(ctx, p.openDatabase, p.openSessions, p.openAccounts))
	person, err := p.accounts.FindByEmail(ctx, "ada@example.org")
	require.NoError(s.t, err)
	use(p.sessions, person.ID)
}

// logIn starts n sessions for Ada.
func (s site) logIn(n int) {
	s.t.Helper()
	s.stores(func(m *session.Manager, person string) {
		for range n {
			whose, err := m.Load(context.Background(), "")
			require.NoError(s.t, err)
			whose.PrepareLogIn(session.Member{ID: person, Name: "Ada"}, text.Sender{UserAgent: "kelp\x1b[31m browser", Address: "192.0.2.9"})
			require.NoError(s.t, m.Commit(whose))
		}
	})
}

// live returns how many of Ada's sessions the store holds.
func (s site) live() (n int) {
	s.t.Helper()
	s.stores(func(m *session.Manager, person string) {
		devices, err := m.Devices(context.Background(), person)
		require.NoError(s.t, err)
		n = len(devices)
	})
	return n
}

// wantLive fails the test unless this many are live.
func (s site) wantLive(want int, when string) {
	s.t.Helper()
	if n := s.live(); n != want {
		s.t.Errorf("%s %d sessions are live, want %d", when, n, want)
	}
}

func TestAnOperatorSeesAndEndsSessionsWithTheServerDown(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]func(*testing.T) site{"embedded": embeddedSite, "services": servedSite} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := at(t)
			s.add("Ada", "ada@example.org")
			s.add("Bea", "bea@example.org")
			if said := s.must("users", "list"); strings.Count(said, "\n") != 3 || strings.Index(said, "ada@") > strings.Index(said, "bea@") {
				t.Errorf("users list: %q", said)
			}
			if said := s.must("users", "show", "--email", "ADA@example.org"); !strings.Contains(said, "Ada") || strings.Contains(said, "argon") {
				t.Errorf("users show: %q", said)
			}
			s.logIn(3)
			list := s.must("sessions", "list", "--email", "ada@example.org")
			lines := strings.Split(strings.TrimSpace(list), "\n")
			if len(lines) != 4 || !strings.Contains(lines[1], "192.0.2.9") || strings.Contains(list, "\x1b") {
				t.Fatalf("sessions list: %q", list)
			}
			id := strings.Fields(lines[1])[0]
			s.refused(session.ErrNoDevice.Error(), "sessions", "end", "--email", "bea@example.org", "--id", id)
			s.wantLive(3, "after trying to end it as another person's")
			s.must("sessions", "end", "--email", "ada@example.org", "--id", id)
			s.wantLive(2, "after ending one")
			if said := s.must("sessions", "end-all", "--email", "bea@example.org"); !strings.Contains(said, "revoked: 0") {
				t.Errorf("end all of Bea's: %q", said)
			}
			s.wantLive(2, "after ending all of another person's")
			if said := s.must("sessions", "end-all", "--email", "ada@example.org"); !strings.Contains(said, "revoked: 2") {
				t.Errorf("end all: %q", said)
			}
			s.logIn(2)
			if said := s.must("sessions", "end-all", "--everybody"); !strings.Contains(said, "revoked: 2") {
				t.Errorf("end all: %q", said)
			}
			s.wantLive(0, "after ending all sessions")
		})
	}
}

func TestDisablingSomebodyEndsTheirSessionsUntilTheyAreEnabled(t *testing.T) {
	t.Parallel()
	s := embeddedSite(t)
	s.add("Ada", "ada@example.org")
	s.logIn(2)
	if said := s.must("users", "disable", "--email", "ada@example.org"); !strings.Contains(said, "Sessions revoked: 2") {
		t.Errorf("users disable: %q", said)
	}
	s.wantLive(0, "after disabling")
	if said := s.must("users", "list"); !strings.Contains(said, "disabled") {
		t.Errorf("users list: %q", said)
	}
	s.must("users", "disable", "--email", "ada@example.org") // a second time changes nothing
	if said := s.must("users", "enable", "--email", "ada@example.org"); !strings.Contains(said, "Enabled ada@example.org") {
		t.Errorf("users enable: %q", said)
	}
	s.logIn(1)
	s.wantLive(1, "after enabling")
}

func TestACommandThatCannotReachTheSessionsChangesNothing(t *testing.T) {
	t.Parallel()
	ending := [][]string{
		{"users", "disable", "--email", "ada@example.org"},
		{"sessions", "list", "--email", "ada@example.org"},
		{"sessions", "end", "--email", "ada@example.org", "--id", "x"},
		{"sessions", "end-all", "--everybody"},
	}
	for store, words := range map[string]string{"memory": "SESSION_STORE=memory", "file": "in use by another running server"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := embeddedSite(t)
			s.settings["SESSION_STORE"] = store
			s.add("Ada", "ada@example.org")
			s.serve()
			for _, args := range ending {
				s.refused(words, args...)
			}
			if said := s.must("users", "show", "--email", "ada@example.org"); strings.Contains(said, "disabled") {
				t.Errorf("it was refused, and yet: %q", said)
			}
		})
	}
}

func TestWhatIsNotThereIsSaid(t *testing.T) {
	t.Parallel()
	s := embeddedSite(t)
	s.serve()
	for _, args := range [][]string{
		{"users", "show", "--email", "nobody@example.org"}, {"users", "disable", "--email", "nobody@example.org"}, {"users", "enable", "--email", "nobody@example.org"},
		{"sessions", "list", "--email", "nobody@example.org"}, {"sessions", "end-all", "--email", "nobody@example.org"},
	} {
		s.refused(`no account with the email address "nobody@example.org"`, args...)
	}
	for stdin, words := range map[string]string{"": "password", "short\n": "password", "nine kelp forests at dawn\n": "email"} {
		if _, err := s.tell(stdin, "users", "add", "--name", "Ada", "--email", "no address"); err == nil || !strings.Contains(strings.ToLower(err.Error()), words) {
			t.Errorf("with the password %q: %v", stdin, err)
		}
	}
}

// serve runs the server alongside the commands until the end of the test.
func (s site) serve() {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	announced := &announcement{made: make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"serve"}, s.getenv, strings.NewReader(""), announced, &bytes.Buffer{})
	}()
	s.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			s.t.Errorf("serve: %v", err)
		}
	})
	select {
	case <-announced.made:
	case err := <-ended:
		ended <- nil
		s.t.Fatalf("serve: %v", err)
	}
}

// announcement closes made on the first write.
type announcement struct {
	once sync.Once
	made chan struct{}
}

func (a *announcement) Write(p []byte) (int, error) {
	a.once.Do(func() { close(a.made) })
	return len(p), nil
}

func TestAPasswordIsTheFirstLineWithoutAByteOrderMark(t *testing.T) {
	for in, want := range map[string]string{
		"nine kelp forests\n": "nine kelp forests", "\ufeffnine kelp forests\r\nand more\n": "nine kelp forests", " spaced ": " spaced ",
	} {
		o := operator{in: strings.NewReader(in), out: io.Discard}
		if got, err := o.readPassword(t.Context()); got != want || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}
