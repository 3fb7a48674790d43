package database_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/session"
)

// TestWhatAChangeEndsIsStampedByTheDatabasesClock: a server whose clock is an hour
// behind revokes sessions, and a store that has lost its latest seconds learns of them.
func TestWhatAChangeEndsIsStampedByTheDatabasesClock(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		late := time.Now().Add(-time.Hour)
		for n, change := range []func(account.Record) error{
			func(r account.Record) error {
				_, err := db.People().SetPassword(t.Context(), account.NewPassword{Person: r.ID, Hash: r.PasswordHash, Old: r.PasswordHash, At: late}, account.Audit{})
				return err
			},
			func(r account.Record) error {
				_, err := db.People().Close(t.Context(), r.ID, nil, account.Audit{})
				return err
			},
		} {
			id := strings.Repeat(string(rune('a'+n)), 22)
			r := account.Record{
				Person: account.Person{ID: id, Name: "Ada", Email: id + "@example.org", Created: late}, EmailKey: id + "@example.org",
				PasswordHash: "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
			}
			require.NoError(t, db.People().Insert(t.Context(), r))
			key := strings.Repeat(string(rune('k'+n)), 43)
			require.NoError(t, db.Devices().Insert(t.Context(), session.Device{ID: id[:16], PersonID: id, SessionKey: key, CreatedAt: late, ExpiresAt: late.Add(24 * time.Hour)}))
			clock, err := db.Devices().Clock(t.Context())
			require.NoError(t, err)
			require.NoError(t, change(r))
			var reported []string
			if err := db.Devices().RevokedSince(t.Context(), clock.Floor, func(keys []string) error { reported = append(reported, keys...); return nil }); err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(reported, key) {
				t.Errorf("change %d: reported of %q only", n, reported)
			}
		}
	})
}
