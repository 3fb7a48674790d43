package database_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/session"
)

func TestAPositionShowsThatTheDatabaseLostData(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		_, err := db.RecordStart(t.Context(), database.Start{At: birth})
		require.NoError(t, err)
		early, err := db.Position(t.Context())
		require.NoError(t, err)
		late, err := db.AdvancePosition(t.Context(), early)
		require.NoError(t, err)
		if now, err := db.Position(t.Context()); now != late || err != nil {
			t.Errorf("the position is %s, %v; want %s", now, err, late)
		}
		if _, err := db.AdvancePosition(t.Context(), early); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("from a position that it has left: %v", err)
		}
		later, err := db.AdvancePosition(t.Context(), late)
		require.NoError(t, err)
		words := strings.Fields(later.String())
		for seen, want := range map[string]bool{
			early.String(): false, late.String(): false, later.String(): true, words[0] + " " + words[1]: true,
			"": false, "x": false, "x y z": false, words[0] + " 1e9": false, "1 " + words[1]: false,
			words[0] + " 1 FFFFFFFF": len(words) == 3,
		} {
			if late.Lost(seen) != want {
				t.Errorf("at %q, having seen %q: %t", late, seen, !want)
			}
		}
		if db.Pool() == nil {
			return
		}
		if len(words) != 3 || len(words[2]) != 8 {
			t.Errorf("the position %q has no timeline", later)
		}
		run(t, db, `ALTER TABLE devices DROP CONSTRAINT devices_person_id_fkey`)
		if now, err := db.Position(t.Context()); !errors.Is(err, account.ErrUnavailable) {
			t.Errorf("during a restore: %q, %v", now, err)
		}
	})
}

func TestOneInstanceReconciles(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		for n, try := range []struct {
			after time.Duration
			want  bool
		}{{time.Hour, true}, {time.Hour, false}, {0, true}, {time.Hour, false}} {
			if claimed, err := db.ClaimReconciling(t.Context(), try.after); claimed != try.want || err != nil {
				t.Errorf("claim %d: %t, %v", n, claimed, err)
			}
		}
		run(t, db, `UPDATE jobs SET ran_ms = ran_ms + 7200000`)
		if claimed, err := db.ClaimReconciling(t.Context(), time.Hour); !claimed || err != nil {
			t.Errorf("after the clock went back: %t, %v", claimed, err)
		}
	})
}

func TestADeviceIsRestoredForThoseWhoMayLogIn(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		devices, ada, bob := db.Devices(), addPerson(t, db, 1), addPerson(t, db, 2)
		_, err := db.People().UpdateDisabled(t.Context(), bob, birth)
		require.NoError(t, err)
		known, unconfirmed, lost, disabled, gone := deviceOf(ada, 1), deviceOf(ada, 2), deviceOf(ada, 3), deviceOf(bob, 4), deviceOf("no one", 5)
		gone.SessionKey = strings.Repeat("g", 43)
		insertDevices(t, db, known)
		require.NoError(t, devices.Insert(t.Context(), unconfirmed))
		keys := []string{known.SessionKey, unconfirmed.SessionKey, lost.SessionKey, disabled.SessionKey, gone.SessionKey}
		mustBeUnlisted := func(want []string) {
			t.Helper()
			got, err := devices.Unlisted(t.Context(), keys)
			if slices.Sort(got); err != nil || !slices.Equal(got, slices.Sorted(slices.Values(want))) {
				t.Errorf("unlisted are %q, %v; want %q", got, err, want)
			}
		}
		mustBeUnlisted(keys[1:])
		for range 2 {
			for _, d := range []session.Device{unconfirmed, lost} {
				require.NoError(t, devices.Restore(t.Context(), d, dawn.Add(10*time.Minute)))
			}
			for _, d := range []session.Device{disabled, gone} {
				if err := devices.Restore(t.Context(), d, dawn); !errors.Is(err, session.ErrEnded) {
					t.Errorf("%s: %v", d.ID, err)
				}
			}
		}
		mustBeUnlisted(keys[3:])
		waiting, err := db.Revocations().Waiting(t.Context(), 10)
		if slices.Sort(waiting); err != nil || !slices.Equal(waiting, slices.Sorted(slices.Values(keys[3:]))) {
			t.Errorf("revoked are %q, %v", waiting, err)
		}
		live, err := devices.Live(t.Context(), ada, 10)
		if err != nil || len(live) != 3 {
			t.Fatalf("live: %+v, %v", live, err)
		}
		got, err := devices.Find(t.Context(), ada, lost.ID)
		if age := time.Since(got.CreatedAt); err != nil || age < 9*time.Minute || age > 15*time.Minute || got.ExpiresAt.Sub(got.CreatedAt) != time.Hour ||
			got.SessionKey != lost.SessionKey || got.Remembered != lost.Remembered || got.UserAgent != "" || !got.RevokedAt.IsZero() {
			t.Errorf("restored: %+v, %v", got, err)
		}
	})
}
