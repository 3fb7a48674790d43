package account_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/crypto/argon2"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/password"
	"holdfast/internal/text"
)

// weaken replaces a person's hash with one of the same password at less cost,
// as an older version would have stored it.
func weaken(t *testing.T, store account.Store, person account.Person) string {
	t.Helper()
	record, err := store.ByID(t.Context(), person.ID)
	require.NoError(t, err)
	salt := []byte("0123456789abcdef")
	key := argon2.IDKey([]byte(right), salt, 1, 1024, 1, 32)
	weak := fmt.Sprintf("$argon2id$v=19$m=1024,t=1,p=1$%s$%s",
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
	require.NoError(t, store.ReplacePasswordHash(t.Context(), person.ID, record.PasswordHash, weak))
	return weak
}

func TestAnOutdatedHashIsMadeAnewAtLogIn(t *testing.T) {
	onBoth(t, func(t *testing.T, store account.Store) {
		s := serveWith(store, password.NewHasher(password.DefaultCost(), 1, testkit.Patience))
		person := register(t, s, "Ada", "ada@example.org")
		weak := weaken(t, store, person)
		hash := func() string {
			t.Helper()
			record, err := store.ByID(t.Context(), person.ID)
			require.NoError(t, err)
			return record.PasswordHash
		}
		if _, err := s.Authenticate(t.Context(), person.Email, wrong); !errors.Is(err, account.ErrInvalidCredentials) || hash() != weak {
			t.Errorf("a wrong password: %v, hash %q", err, hash())
		}
		if _, err := s.Authenticate(t.Context(), person.Email, right); err != nil {
			t.Fatal(err)
		}
		strong := hash()
		if !strings.HasPrefix(strong, "$argon2id$v=19$m=19456,t=2,p=1$") {
			t.Errorf("hash after log-in %q", strong)
		}
		if _, err := s.Authenticate(t.Context(), person.Email, right); err != nil || hash() != strong {
			t.Errorf("second log-in: %v, and the hash is another", err)
		}
	})
}

// keepsHashes is a real store that accepts no new hashes.
type keepsHashes struct{ account.Store }

func (keepsHashes) ReplacePasswordHash(context.Context, string, string, string) error {
	return account.ErrUnavailable
}

func TestALogInStandsWhenTheNewHashCannotBeStored(t *testing.T) {
	store := onSQLite(t)
	person := register(t, serve(store), "Ada", "ada@example.org")
	weaken(t, store, person)
	hasher := password.NewHasher(password.DefaultCost(), 1, testkit.Patience)
	if got, err := serveWith(keepsHashes{store}, hasher).Authenticate(t.Context(), person.Email, right); err != nil || got != person {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAnAbsurdStoredHashIsRefusedWithoutHashing(t *testing.T) {
	store, hasher := onSQLite(t), testkit.Hasher()
	s := serveWith(store, hasher)
	person := register(t, s, "Ada", "ada@example.org")
	weak := weaken(t, store, person)
	require.NoError(t, store.ReplacePasswordHash(t.Context(), person.ID, weak, strings.Replace(weak, "m=1024", "m=8388608", 1)))
	before := hasher.Work()
	if _, err := s.Authenticate(t.Context(), person.Email, right); !errors.Is(err, password.ErrHash) || hasher.Work() != before {
		t.Errorf("%v, for %d KiB of work", err, hasher.Work()-before)
	}
}

func TestAFailedLogInIsWrittenWhetherOrNotAnybodyHasTheAddress(t *testing.T) {
	t.Parallel()
	s, server := onOwnPostgres(t)
	register(t, s, "Ada", "ada@example.org")
	conn, err := pgx.Connect(t.Context(), server.URL)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	written := func() (position string) {
		t.Helper()
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT pg_current_wal_flush_lsn()::text").Scan(&position))
		return position
	}
	for _, email := range []string{"ada@example.org", "nobody@example.org", "no address"} {
		before := written()
		require.NoError(t, s.AuditFailedLogin(t.Context(), email, text.Sender{}))
		if written() == before {
			t.Errorf("%s: nothing was written", email)
		}
	}
}

// onOwnPostgres returns a service on the test's own PostgreSQL server.
func onOwnPostgres(t *testing.T) (*account.Service, *testservice.PostgresServer) {
	t.Helper()
	server := testservice.PrivatePostgres(t)
	db := testkit.OpenDatabase(t, database.Config{URL: server.URL, Timeout: testkit.Patience})
	_, err := db.Migrate(t.Context())
	require.NoError(t, err)
	return serve(db.People()), server
}

func TestAnOutageIsNamedAndEndsNothing(t *testing.T) {
	t.Parallel()
	s, server := onOwnPostgres(t)
	person := register(t, s, "Ada", "ada@example.org")
	server.Stop()
	for name, call := range map[string]func() error{
		"Register": func() error {
			_, err := s.Register(t.Context(), account.Registration{Name: "Bob", Email: "bob@example.org", Password: right})
			return err
		},
		"Authenticate":         func() error { _, err := s.Authenticate(t.Context(), person.Email, right); return err },
		"Authenticate wrongly": func() error { _, err := s.Authenticate(t.Context(), person.Email, wrong); return err },
		"Authenticate nobody":  func() error { _, err := s.Authenticate(t.Context(), "eve@example.org", right); return err },
		"Find":                 func() error { _, err := s.Find(t.Context(), person.ID); return err },
		"FindByEmail":          func() error { _, err := s.FindByEmail(t.Context(), person.Email); return err },
		"Rename":               func() error { _, err := s.Rename(t.Context(), person.ID, "Eve"); return err },
		"SetDisabled":          func() error { _, err := s.SetDisabled(t.Context(), person.ID, true); return err },
		"List":                 func() error { _, _, err := s.List(t.Context(), "", 1); return err },
	} {
		err := call()
		if !errors.Is(err, account.ErrUnavailable) || errors.Is(err, account.ErrInvalidCredentials) || errors.Is(err, account.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	server.Start()
	testkit.Steadily(t, testkit.Patience, "log in after the outage", func() error {
		got, err := s.Authenticate(t.Context(), person.Email, right)
		if err == nil && got != person || err != nil && !errors.Is(err, account.ErrUnavailable) {
			t.Fatalf("after the outage: %+v, %v", got, err)
		}
		return err
	})
}

func TestNoMoreThanTheLatestBrowsersAreKnown(t *testing.T) {
	onBoth(t, func(t *testing.T, store account.Store) {
		s := serve(store)
		ada, bob := register(t, s, "Ada", "ada@example.org"), register(t, s, "Bob", "bob@example.org")
		log := func(p account.Person) string {
			t.Helper()
			token, err := s.RecordLogin(t.Context(), p, account.Login{})
			require.NoError(t, err)
			return token
		}
		others := log(bob)
		var tokens []string
		for range 30 {
			tokens = append(tokens, log(ada))
		}
		known := 0
		for _, token := range tokens {
			if hash, err := s.KnownBrowser(t.Context(), ada.Email, []string{token}); err != nil {
				t.Fatal(err)
			} else if hash != "" {
				known++
			}
		}
		latest, err := s.KnownBrowser(t.Context(), ada.Email, tokens[29:])
		if known != 20 || latest == "" || err != nil {
			t.Errorf("%d are known, the latest as %q, %v", known, latest, err)
		}
		if hash, err := s.KnownBrowser(t.Context(), bob.Email, []string{others}); hash == "" || err != nil {
			t.Errorf("another person's browser: %q, %v", hash, err)
		}
	})
}
