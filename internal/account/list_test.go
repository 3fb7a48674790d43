package account_test

import (
	"fmt"
	"testing"

	"holdfast/internal/account"
	"holdfast/internal/database"
)

func TestAListIsNoLongerThanItsLimit(t *testing.T) {
	store := openStore(t, database.Config{DataDir: t.TempDir()})
	for n := range 1001 {
		email := fmt.Sprintf("person%04d@example.org", n)
		err := store.Insert(t.Context(), account.Record{
			Person:       account.Person{ID: fmt.Sprintf("%022d", n), Name: "Ada", Email: email, Created: noon},
			EmailKey:     email,
			PasswordHash: "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for limit, want := range map[int]int{-1: 1, 1: 1, 1000: 1000, 5000: 1000} {
		if page, err := serve(store).List(t.Context(), "", limit); err != nil || len(page) != want {
			t.Errorf("at most %d: %d people, %v; want %d", limit, len(page), err, want)
		}
	}
}
