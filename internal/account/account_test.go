package account_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/form"
	"holdfast/internal/password"
	"holdfast/internal/text"
)

const (
	right = "correct otter battery anchor"
	wrong = "correct otter battery anchov"
)

// noon is the current time for every service in these tests.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 123_456_789, time.UTC)

// onBoth runs a test on both real stores.
func onBoth(t *testing.T, test func(t *testing.T, store account.Store)) {
	t.Helper()
	t.Parallel()
	testkit.BothDatabases(t, func(t *testing.T, cfg database.Config) {
		test(t, testkit.OpenDatabase(t, cfg).People())
	})
}

func serve(store account.Store) *account.Service { return serveWith(store, testkit.Hasher()) }

func serveWith(store account.Store, hasher *password.Hasher) *account.Service {
	return account.New(account.Config{Store: store, Hasher: hasher, Now: func() time.Time { return noon }})
}

// onSQLite returns a store for tests of rules that do not depend on the database.
func onSQLite(t *testing.T) account.Store {
	t.Helper()
	return testkit.OpenDatabase(t, testkit.SQLite(t)).People()
}

// over returns a service on SQLite.
func over(t *testing.T) *account.Service {
	t.Helper()
	return serve(onSQLite(t))
}

func register(t *testing.T, s *account.Service, name, email string) account.Person {
	t.Helper()
	person, err := s.Register(t.Context(), account.Registration{Name: name, Email: email, Password: right})
	require.NoError(t, err)
	return person
}

func TestARegisteredPersonCanLogInAndBeFound(t *testing.T) {
	onBoth(t, func(t *testing.T, store account.Store) {
		s := serve(store)
		person := register(t, s, "  Ada Lovelace\t", " Ada@Example.ORG ")
		if person.Name != "Ada Lovelace" || person.Email != "Ada@Example.ORG" || person.Disabled ||
			!person.Created.Equal(noon.Truncate(time.Millisecond)) || !text.IsID(person.ID) {
			t.Errorf("registered %+v", person)
		}
		for _, email := range []string{"Ada@Example.ORG", "ada@example.org", "ADA@EXAMPLE.ORG", "\n ada@example.org "} {
			if got, err := s.Authenticate(t.Context(), email, right); err != nil || got != person {
				t.Errorf("authenticate %q: %+v, %v", email, got, err)
			}
			if got, err := s.FindByEmail(t.Context(), email); err != nil || got != person {
				t.Errorf("find %q: %+v, %v", email, got, err)
			}
		}
		if got, err := s.Find(t.Context(), person.ID); err != nil || got != person {
			t.Errorf("find: %+v, %v", got, err)
		}
	})
}

func TestUnicodeFormsOfOneTextAreOneText(t *testing.T) {
	s := over(t)
	person, err := s.Register(t.Context(), account.Registration{
		Name: "Zoe\u0308", Email: "Zoe\u0308@example.org", Password: "cafe\u0301 au lait, twice",
	})
	if err != nil || person.Name != "Zo\u00eb" {
		t.Fatalf("%+v, %v", person, err)
	}
	if got, err := s.Authenticate(t.Context(), "ZO\u00cb@example.org", "caf\u00e9 au lait, twice"); err != nil || got != person {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOneAddressIsOnePerson(t *testing.T) {
	onBoth(t, func(t *testing.T, store account.Store) {
		s := serve(store)
		oneSucceeds(t, 50, account.ErrEmailTaken, func(n int) error {
			_, err := s.Register(context.Background(), account.Registration{
				Name: fmt.Sprint("Caller ", n), Email: mixCase("ada.lovelace@example.org", n), Password: right,
			})
			return err
		})
		if list, _, err := s.List(t.Context(), "", 10); err != nil || len(list) != 1 {
			t.Errorf("%d people, %v", len(list), err)
		}
	})
}

// oneSucceeds makes calls at the same time, and checks that one succeeds and all others
// get the same error.
func oneSucceeds(t *testing.T, calls int, others error, call func(n int) error) {
	t.Helper()
	var done, refused atomic.Int64
	var all sync.WaitGroup
	for n := range calls {
		all.Go(func() {
			switch err := call(n); {
			case err == nil:
				done.Add(1)
			case errors.Is(err, others):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if done.Load() != 1 || refused.Load() != int64(calls-1) {
		t.Errorf("of %d calls %d succeeded, and %d got: %v", calls, done.Load(), refused.Load(), others)
	}
}

// mixCase changes the letters whose bit is set in n to upper case.
func mixCase(s string, n int) string {
	letters := strings.Split(s, "")
	for i := range letters {
		if n>>(i%6)&1 == 1 {
			letters[i] = strings.ToUpper(letters[i])
		}
	}
	return strings.Join(letters, "")
}

func TestRegisterNamesAllThatCanBeMendedInFieldOrder(t *testing.T) {
	s := serve(nil) // no call reaches a store
	_, err := s.Register(t.Context(), account.Registration{Name: " ", Email: "ada", Password: "short"})
	problems, ok := errors.AsType[form.Errors](err)
	if !ok || len(problems) != 3 || problems[0].Field != "name" || problems[1].Field != "email" || problems[2].Field != "password" {
		t.Fatalf("%v", err)
	}
	_, err = s.Register(t.Context(), account.Registration{Name: "Ada Lovelace", Email: "ada@example.org", Password: "ada lovelace 1815"})
	problems, ok = errors.AsType[form.Errors](err)
	if !ok || len(problems) != 1 || !strings.Contains(problems.Of("password"), "your name") {
		t.Errorf("a password made of the name: %v", err)
	}
}

func TestRename(t *testing.T) {
	onBoth(t, func(t *testing.T, store account.Store) {
		s := serve(store)
		person := register(t, s, "Ada", "ada@example.org")
		person.Name = "Countess"
		if got, err := s.Rename(t.Context(), person.ID, " Countess "); err != nil || got != person {
			t.Errorf("%+v, %v", got, err)
		}
		_, err := s.Rename(t.Context(), person.ID, "")
		if problems, ok := errors.AsType[form.Errors](err); !ok || problems.Of("name") == "" {
			t.Errorf("to nothing: %v", err)
		}
		if got, err := s.Find(t.Context(), person.ID); err != nil || got != person {
			t.Errorf("afterwards: %+v, %v", got, err)
		}
	})
}

func TestWhoIsNotThereIsNotFound(t *testing.T) {
	onBoth(t, func(t *testing.T, store account.Store) {
		s := serve(store)
		register(t, s, "Ada", "ada@example.org")
		for _, id := range []string{"AAAAAAAAAAAAAAAAAAAAAA", "", "short", strings.Repeat("\x00", 22), strings.Repeat("\xff", 22), strings.Repeat("A", 1<<20)} {
			_, found := s.Find(t.Context(), id)
			_, renamed := s.Rename(t.Context(), id, "Eve")
			_, disabled := s.SetDisabled(t.Context(), id, true)
			deleted := s.Delete(t.Context(), id)
			for _, err := range []error{found, renamed, disabled, deleted} {
				if !errors.Is(err, account.ErrNotFound) {
					t.Errorf("%.30q: %v", id, err)
				}
			}
		}
		for _, email := range []string{"", "eve@example.org", "ada\x00@example.org", "\xff@example.org"} {
			if _, err := s.FindByEmail(t.Context(), email); !errors.Is(err, account.ErrNotFound) {
				t.Errorf("%q: %v", email, err)
			}
		}
	})
}

func TestADeletedPersonIsGoneAndTheAddressIsFree(t *testing.T) {
	onBoth(t, func(t *testing.T, store account.Store) {
		s := serve(store)
		ada := register(t, s, "Ada", "ada@example.org")
		require.NoError(t, s.Delete(t.Context(), ada.ID))
		if _, err := s.Authenticate(t.Context(), "ada@example.org", right); !errors.Is(err, account.ErrInvalidCredentials) {
			t.Errorf("log in afterwards: %v", err)
		}
		if again := register(t, s, "Ada", "ada@example.org"); again.ID == ada.ID {
			t.Error("the new person has the old id")
		}
	})
}

func TestListGoesThroughEverybodyOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, store account.Store) {
		s := serve(store)
		want := []string{"Ada@example.org", "bob@example.org", "Carol@example.org", "\u00c9mile@example.org"}
		for _, i := range []int{2, 0, 3, 1} {
			register(t, s, "Person", want[i])
		}
		var got []string
		ids := map[string]bool{}
		for after := ""; ; {
			page, next, err := s.List(t.Context(), after, 3)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			for _, p := range page {
				got = append(got, p.Email)
				ids[p.ID] = true
			}
			after = next
		}
		if !slices.Equal(got, want) || len(ids) != len(want) {
			t.Errorf("%q; want %q", got, want)
		}
	})
}

func TestAListIsNoLongerThanItsLimit(t *testing.T) {
	db := testkit.OpenDatabase(t, testkit.SQLite(t))
	_, err := db.SQL().ExecContext(t.Context(), `
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
INSERT INTO people (id, name, email, email_key, password_hash, created_ms)
SELECT printf('%022d', i), 'Ada', printf('person%04d@example.org', i), printf('person%04d@example.org', i),
  '$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA', 1
FROM n`)
	require.NoError(t, err)
	s := serve(db.People())
	for limit, want := range map[int]int{-1: 1, 1: 1, 1000: 1000, 5000: 1000} {
		if page, _, err := s.List(t.Context(), "", limit); err != nil || len(page) != want {
			t.Errorf("at most %d: %d people, %v; want %d", limit, len(page), err, want)
		}
	}
}
