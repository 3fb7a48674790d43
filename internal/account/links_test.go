package account_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"holdfast/internal/account"
	"holdfast/internal/dev/require"
	"holdfast/internal/form"
	"holdfast/internal/text"
)

const other = "nine kelp forests at dawn"

func link(t *testing.T, s *account.Service, purpose account.Purpose, person account.Person, detail string) string {
	t.Helper()
	token, err := s.MakeLink(t.Context(), purpose, person.ID, detail)
	require.NoError(t, err)
	return token
}

// use spends a link that confirms, changes or restores an address.
func use(s *account.Service, token string) error {
	_, _, err := s.UseLink(context.Background(), token, text.Sender{})
	return err
}

func reset(s *account.Service, token string) error {
	_, _, err := s.ResetPassword(context.Background(), token, other, text.Sender{})
	return err
}

func TestALinkIsSpentOnceHoweverManyUseItAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, store account.Store) {
		s := serve(store)
		ada := register(t, s, "Ada", "ada@example.org")
		for purpose, spend := range map[account.Purpose]func(*account.Service, string) error{
			account.PurposeConfirm: use, account.PurposeReset: reset,
		} {
			token := link(t, s, purpose, ada, ada.Email)
			oneSucceeds(t, 12, account.ErrLinkInvalid, func(int) error { return spend(s, token) })
		}
		if now, err := s.Find(t.Context(), ada.ID); err != nil || now.Epoch != 1 || !now.Verified {
			t.Errorf("%+v, %v", now, err)
		}
	})
}

func TestAnAddressTakenMeanwhileChangesNothingAndSpendsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, store account.Store) {
		s := serve(store)
		ada := register(t, s, "Ada", "ada@example.org")
		token := link(t, s, account.PurposeChange, ada, "bob@example.org")
		bob := register(t, s, "Bob", "BOB@example.org")
		if err := use(s, token); !errors.Is(err, account.ErrEmailTaken) {
			t.Errorf("%v", err)
		}
		if now, err := s.Find(t.Context(), ada.ID); err != nil || now != ada {
			t.Errorf("%+v, %v", now, err)
		}
		require.NoError(t, s.Delete(t.Context(), bob.ID))
		if now, _, err := s.UseLink(t.Context(), token, text.Sender{}); err != nil || now.Email != "bob@example.org" || !now.Verified {
			t.Errorf("once it is free: %+v, %v", now, err)
		}
	})
}

func TestOfManyWhoWantOneAddressOneGetsIt(t *testing.T) {
	onBoth(t, func(t *testing.T, store account.Store) {
		s := serve(store)
		var tokens []string
		for n := range 8 {
			p := register(t, s, "Person", fmt.Sprintf("person%d@example.org", n))
			tokens = append(tokens, link(t, s, account.PurposeChange, p, mixCase("wanted.by.all@example.org", n)))
		}
		oneSucceeds(t, len(tokens), account.ErrEmailTaken, func(n int) error { return use(s, tokens[n]) })
	})
}

// meets is a store that calls first before it changes an address.
type meets struct {
	account.Store
	first func()
}

func (m meets) MoveEmail(ctx context.Context, l account.Link, to account.Move, tell func(account.Record) account.Audit) (account.Record, error) {
	m.first()
	return m.Store.MoveEmail(ctx, l, to, tell)
}

// TestAWayBackThatMeetsAFurtherChangeLeadsBack checks an undo that read the person
// before another change of address.
func TestAWayBackThatMeetsAFurtherChangeLeadsBack(t *testing.T) {
	onBoth(t, func(t *testing.T, store account.Store) {
		s := serve(store)
		ada := register(t, s, "Ada", "ada@example.org")
		change := func(to string) { require.NoError(t, use(s, link(t, s, account.PurposeChange, ada, to))) }
		change("thief@example.org")
		undo := link(t, s, account.PurposeUndo, ada, ada.Email)
		met := serve(meets{store, func() { change("second@example.org") }})
		if now, _, err := met.UseLink(t.Context(), undo, text.Sender{}); err != nil || now.Email != ada.Email {
			t.Errorf("%+v, %v", now, err)
		}
	})
}

// TestWhoeverSignsUpWhileAnAddressIsLeftDoesNotGetIt: the address is reserved for the
// account that leaves it from the moment it would become free.
func TestWhoeverSignsUpWhileAnAddressIsLeftDoesNotGetIt(t *testing.T) {
	onBoth(t, func(t *testing.T, store account.Store) {
		s := serve(store)
		for n := range 6 {
			left := fmt.Sprintf("left%d@example.org", n)
			p, bob := register(t, s, "Person", left), register(t, s, "Bob", fmt.Sprintf("bob%d@example.org", n))
			leaves := link(t, s, account.PurposeChange, p, fmt.Sprintf("new%d@example.org", n))
			wants := link(t, s, account.PurposeChange, bob, left)
			taken := func(err error) {
				if !errors.Is(err, account.ErrEmailTaken) {
					t.Errorf("round %d: %v", n, err)
				}
			}
			var all sync.WaitGroup
			all.Go(func() {
				if err := use(s, leaves); err != nil {
					t.Error(err)
				}
			})
			for range 3 {
				all.Go(func() {
					_, err := s.SignUp(context.Background(), account.Registration{Name: "Eve", Email: left, Password: right}, true, text.Sender{})
					taken(err)
				})
			}
			all.Go(func() { taken(use(s, wants)) })
			all.Wait()
			if _, err := s.FindByEmail(t.Context(), left); !errors.Is(err, account.ErrNotFound) {
				t.Errorf("round %d: someone has the address: %v", n, err)
			}
		}
	})
}

func TestChangesOfOneAccountAtOnceWaitForEachOther(t *testing.T) {
	onBoth(t, func(t *testing.T, store account.Store) {
		s := serve(store)
		for range 3 {
			ada := register(t, s, "Ada", "ada@example.org")
			forgotten, change := link(t, s, account.PurposeReset, ada, ada.Email), link(t, s, account.PurposeChange, ada, "new@example.org")
			named := func(err error) {
				if err != nil && !errors.Is(err, account.ErrLinkInvalid) && !errors.Is(err, account.ErrInvalidCredentials) && !errors.Is(err, account.ErrNotFound) {
					t.Error(err)
				}
			}
			var all sync.WaitGroup
			all.Go(func() { named(reset(s, forgotten)) })
			all.Go(func() { named(use(s, change)) })
			all.Go(func() {
				_, err := s.ChangePassword(context.Background(), ada.ID, account.PasswordChange{Current: right, New: "eight tides a week is a lot"})
				named(err)
			})
			all.Go(func() { named(s.AskEmail(context.Background(), ada.ID, "third@example.org", text.Sender{})) })
			all.Wait()
			now, err := s.Find(t.Context(), ada.ID)
			require.NoError(t, err)
			if _, _, err := s.Close(t.Context(), ada.ID, now.Email, false, text.Sender{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestAnAccountIsDeletedByItsOwnAddressOnly(t *testing.T) {
	s := over(t)
	ada := register(t, s, "Ada", "ada@example.org")
	register(t, s, "Bea", "bea@example.org")
	for _, typed := range []string{"", "ada", "ada@example", "bea@example.org", "ada@example.org bea@example.org", "\xff"} {
		_, _, err := s.Close(t.Context(), ada.ID, typed, false, text.Sender{})
		if wrong, ok := errors.AsType[form.Errors](err); !ok || wrong.Of("email") == "" {
			t.Errorf("%q: %v, want a message for the field", typed, err)
		}
	}
	if _, _, err := s.Close(t.Context(), ada.ID, " ADA@Example.org ", false, text.Sender{}); err != nil {
		t.Errorf("the address in another case: %v", err)
	}
	if _, err := s.Find(t.Context(), ada.ID); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestWhatIsNoTokenOfALinkIsOver(t *testing.T) {
	s := over(t)
	ada := register(t, s, "Ada", "ada@example.org")
	good := link(t, s, account.PurposeReset, ada, ada.Email)
	for _, token := range []string{"", "x", good + "A", good[:42], good[:42] + "!", "%00", "\xff", good[:20] + "\x00" + good[21:]} {
		if _, err := s.FindLink(t.Context(), token); !errors.Is(err, account.ErrLinkInvalid) {
			t.Errorf("%q: %v", token, err)
		}
	}
	if err := use(s, good); !errors.Is(err, account.ErrLinkInvalid) {
		t.Errorf("a link for something else: %v", err)
	}
	if got, err := s.FindLink(t.Context(), good); err != nil || got.Person != ada.ID {
		t.Errorf("%+v, %v", got, err)
	}
}
