package account_test

import (
	"errors"
	"strings"
	"testing"

	"holdfast/internal/account"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/password"
)

func TestNoMatchIsOneAnswer(t *testing.T) {
	s := over(t)
	register(t, s, "Ada", "ada@example.org")
	disabled := register(t, s, "Bob", "bob@example.org")
	if _, err := s.SetDisabled(t.Context(), disabled.ID, true); err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string][2]string{
		"wrong":               {"ada@example.org", wrong},
		"empty":               {"ada@example.org", ""},
		"one byte more":       {"ada@example.org", right + " "},
		"longer than hashed":  {"ada@example.org", strings.Repeat("a", password.MaxBytes+1)},
		"a megabyte":          {"ada@example.org", strings.Repeat("a", 1<<20)},
		"NUL":                 {"ada@example.org", right + "\x00"},
		"invalid UTF-8":       {"ada@example.org", right + "\xff"},
		"unknown":             {"eve@example.org", right},
		"no address":          {"ada", right},
		"address with NUL":    {"ada@example.org\x00", right},
		"address not UTF-8":   {"ada\xff@example.org", right},
		"address of 10 kB":    {strings.Repeat("a", 10_000) + "@example.org", right},
		"nothing":             {"", ""},
		"disabled":            {"bob@example.org", right},
		"disabled and wrong":  {"bob@example.org", wrong},
		"another's":           {"%@example.org", right},
		"SQL for an address":  {"' OR 1=1 --@x", right},
		"a bare domain":       {"@example.org", right},
		"an invisible letter": {"ada\u200b@example.org", right},
	} {
		person, err := s.Authenticate(t.Context(), try[0], try[1])
		if err != account.ErrInvalidCredentials || person != (account.Person{}) {
			t.Errorf("%s: %+v, %v", name, person, err)
		}
	}
}

func TestNoMatchTakesTheSameWork(t *testing.T) {
	hasher := password.NewHasher(password.DefaultCost(), 1, testkit.Patience)
	s := serveWith(onSQLite(t), hasher)
	register(t, s, "Ada", "ada@example.org")
	bob := register(t, s, "Bob", "bob@example.org")
	if _, err := s.SetDisabled(t.Context(), bob.ID, true); err != nil {
		t.Fatal(err)
	}
	work := func(email, pass string) int64 {
		before := hasher.Work()
		if _, err := s.Authenticate(t.Context(), email, pass); !errors.Is(err, account.ErrInvalidCredentials) {
			t.Fatalf("%q: %v", email, err)
		}
		return hasher.Work() - before
	}
	known := work("ada@example.org", wrong)
	if known == 0 {
		t.Fatal("a wrong password costs nothing")
	}
	for name, cost := range map[string]int64{
		"unknown":    work("eve@example.org", wrong),
		"no address": work("eve", wrong),
		"disabled":   work("bob@example.org", right),
	} {
		if cost != known {
			t.Errorf("%s costs %d, a wrong password %d", name, cost, known)
		}
	}
	if long := work("ada@example.org", strings.Repeat("a", 1<<20)); long != 0 {
		t.Errorf("a megabyte of password is hashed, for %d", long)
	}
}

func TestADisabledPersonMayLogInAgainWhenEnabled(t *testing.T) {
	onBoth(t, func(t *testing.T, store account.Store) {
		s := serve(store)
		person := register(t, s, "Ada", "ada@example.org")
		for _, disabled := range []bool{true, true, false, false} {
			got, err := s.SetDisabled(t.Context(), person.ID, disabled)
			if err != nil || got.ID != person.ID || got.Disabled != disabled {
				t.Fatalf("disabled %v: %+v, %v", disabled, got, err)
			}
			_, err = s.Authenticate(t.Context(), "ada@example.org", right)
			if disabled != errors.Is(err, account.ErrInvalidCredentials) {
				t.Errorf("disabled %v: %v", disabled, err)
			}
		}
	})
}
