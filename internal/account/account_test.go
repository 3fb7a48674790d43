package account_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/form"
	"holdfast/internal/password"
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
			!person.Created.Equal(noon.Truncate(time.Millisecond)) || len(person.ID) != 22 {
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
		const sameAddress = "ada.lovelace@example.org"
		const callers = 50
		var mu sync.Mutex
		var all sync.WaitGroup
		people, taken := 0, 0
		for n := range callers {
			all.Go(func() {
				_, err := s.Register(context.Background(), account.Registration{
					Name: fmt.Sprint("Caller ", n), Email: mixCase(sameAddress, n), Password: right,
				})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					people++
				case errors.Is(err, account.ErrEmailTaken):
					taken++
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if people != 1 || taken != callers-1 {
			t.Errorf("%d registered, %d got ErrEmailTaken", people, taken)
		}
		if list, _, err := s.List(t.Context(), "", 10); err != nil || len(list) != 1 {
			t.Errorf("%d people, %v", len(list), err)
		}
	})
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
		after := ""
		for {
			page, next, err := s.List(t.Context(), after, 3)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			for _, p := range page {
				got = append(got, p.Email)
			}
			after = next
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%q; want %q", got, want)
		}
		if page, _, err := s.List(t.Context(), "", -1); err != nil || len(page) != 1 {
			t.Errorf("a page of -1: %d people, %v", len(page), err)
		}
	})
}

func TestIDsAreUnlikeEachOther(t *testing.T) {
	s := over(t)
	seen := map[string]bool{}
	for n := range 20 {
		id := register(t, s, "Ada", fmt.Sprintf("ada%d@example.org", n)).ID
		if seen[id] || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("id %q", id)
		}
		seen[id] = true
	}
}
