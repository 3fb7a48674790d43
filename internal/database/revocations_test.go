package database_test

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/session"
)

// TestWhatAChangeEndsIsStampedByTheDatabasesClock: a server whose clock is an hour
// behind revokes sessions, and a store that has lost its latest seconds learns of them.
func TestWhatAChangeEndsIsStampedByTheDatabasesClock(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
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
			r := record(n + 1)
			r.Created = late
			insert(t, db.People(), r)
			device := deviceOf(r.ID, n)
			device.CreatedAt, device.ExpiresAt = late, late.Add(24*time.Hour)
			require.NoError(t, db.Devices().Insert(t.Context(), device))
			floor := readClock(t, db).Floor
			require.NoError(t, change(r))
			if reported := endedSince(t, db, floor); !slices.Contains(reported, device.SessionKey) {
				t.Errorf("change %d: reported of %q only", n, reported)
			}
		}
	})
}

func endedSince(t *testing.T, db *database.DB, since time.Time) (all []string) {
	t.Helper()
	err := db.Devices().RevokedSince(t.Context(), since, func(keys []string) error { all = append(all, keys...); return nil })
	require.NoError(t, err)
	return all
}

func TestWhatEndedIsKnownByItsKey(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		ada := addPerson(t, db, 1)
		early, late, running, over := deviceOf(ada, 1), deviceOf(ada, 2), deviceOf(ada, 3), deviceOf(ada, 4)
		insertDevices(t, db, over)
		age(t, db, 25*time.Hour) // an hour of lifetime, and a day by which a clock may be wrong
		insertDevices(t, db, early, late, running)
		endDevices(t, db, session.RevokedByLogOut, early.ID)
		age(t, db, 10*time.Minute)
		endDevices(t, db, session.RevokedByOwner, late.ID, over.ID)
		for ago, want := range map[time.Duration][]string{time.Hour: {early.SessionKey, late.SessionKey}, time.Minute: {late.SessionKey}, -time.Minute: nil} {
			if keys := endedSince(t, db, time.Now().Add(-ago)); !reflect.DeepEqual(keys, want) {
				t.Errorf("ended since %s ago: %q; want %q", ago, keys, want)
			}
		}
		require.NoError(t, db.Devices().Forget(t.Context(), 5*time.Minute))
		// A restored store could still hold the early one for most of an hour.
		past, err := db.Devices().Past(t.Context(), ada, session.Device{}, 0, 10)
		sameDevices(t, "remembered", past, err, late, early)
		live, err := db.Devices().Live(t.Context(), ada, 10)
		sameDevices(t, "running", live, err, running)
	})
}

// TestPastDevicesAreForgottenOnceADayByOneServer: several servers ask at the same time,
// again on the same day, and on the next.
func TestPastDevicesAreForgottenOnceADayByOneServer(t *testing.T) {
	sharedOnBoth(t, func(t *testing.T, open func() *database.DB) {
		servers := []*database.DB{open(), open(), open()}
		db := servers[0]
		ada := addPerson(t, db, 1)
		const day = 24 * time.Hour
		ask := func(want int, when string) {
			t.Helper()
			var all sync.WaitGroup
			for _, server := range servers {
				all.Go(func() {
					if err := server.Devices().Forget(t.Context(), 90*day); err != nil {
						t.Errorf("%s: %v", when, err)
					}
				})
			}
			all.Wait()
			if n := value[int](t, db, `SELECT count(*) FROM devices`); n != want {
				t.Errorf("%s: %d devices are left, want %d", when, n, want)
			}
		}
		insertDevices(t, db, deviceOf(ada, 1))
		endDevices(t, db, session.RevokedByLogOut, deviceOf(ada, 1).ID)
		age(t, db, 91*day)
		insertDevices(t, db, deviceOf(ada, 2), deviceOf(ada, 3))
		endDevices(t, db, session.RevokedByLogOut, deviceOf(ada, 2).ID)
		ask(2, "at the first start")
		age(t, db, 91*day)
		ask(2, "on the same day")
		run(t, db, `UPDATE jobs SET ran_ms = ran_ms - $1`, day.Milliseconds())
		ask(0, "a day later")
	})
}

// manyDevices stores devices of one person; many is the number of the last row. ended
// holds the values of ended_ms and ended_how.
func manyDevices(t *testing.T, db *database.DB, person string, many int, ended string) {
	t.Helper()
	run(t, db, `
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
INSERT INTO devices (id, person_id, session_key, user_agent, address, remembered, created_ms, deadline_ms, ended_ms, ended_how)
SELECT CAST(i AS TEXT), $2, '0000000000000000000000000000000000000' || CAST(100000 + i AS TEXT), '', '', FALSE, 1, 9000000000000, `+ended+`
FROM n`, many, person)
}

// smallPages makes a few rows fill many pages. The campaign uses pages of the usual
// size, and more rows.
func smallPages(db *database.DB) {
	if !campaign.On() {
		db.SmallPages(500)
	}
}

func TestManyEndAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		smallPages(db)
		ada := addPerson(t, db, 1)
		many := campaign.Number(1203, 45_003) // more than two statements, and more than two pages
		manyDevices(t, db, ada, many, "NULL, NULL")
		ids := make([]string, many)
		for i := range ids {
			ids[i] = strconv.Itoa(i + 1)
		}
		began := time.Now().Add(-time.Second)
		endDevices(t, db, session.RevokedByOperator, ids...)
		if keys := endedSince(t, db, began); len(keys) != many {
			t.Errorf("%d ended; want %d", len(keys), many)
		}
	})
}

// TestEveryEndingIsPassedOnPageByPage needs more than one statement to read the rows.
// Many have the same millisecond.
func TestEveryEndingIsPassedOnPageByPage(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		smallPages(db)
		ada := addPerson(t, db, 1)
		many, now := campaign.Number(1250, 45_000), time.Now()
		manyDevices(t, db, ada, many, fmt.Sprintf("%d, 'log-out'", now.UnixMilli()))
		seen := map[string]bool{}
		for _, key := range endedSince(t, db, now) {
			seen[key] = true
		}
		if len(seen) != many {
			t.Errorf("%d endings were passed on, want %d", len(seen), many)
		}
	})
}

// TestEverybodysDevicesAreEndedPageByPage revokes several pages of rows. Some have
// already ended, and some were updated after they were inserted.
func TestEverybodysDevicesAreEndedPageByPage(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		smallPages(db)
		ada := addPerson(t, db, 1)
		many := campaign.Number(1250, 25_000)
		manyDevices(t, db, ada, many, "CASE WHEN i % 5 = 0 THEN 2 END, CASE WHEN i % 5 = 0 THEN 'owner' END")
		run(t, db, `UPDATE devices SET address = '::1' WHERE session_key < $1`, fmt.Sprintf("%043d", 100_000+many/3))
		var reported []int
		require.NoError(t, db.Devices().RevokeAll(t.Context(), session.RevokedByOperator, func(marked int) { reported = append(reported, marked) }))
		if len(reported) < 2 || !slices.IsSorted(reported) {
			t.Errorf("reported %d", reported)
		}
		for how, want := range map[session.RevokeReason]int{session.RevokedByOperator: many * 4 / 5, session.RevokedByOwner: many / 5} {
			if n := value[int](t, db, `SELECT COUNT(*) FROM devices WHERE ended_how = $1`, string(how)); n != want {
				t.Errorf("%d were ended by %s, want %d", n, how, want)
			}
		}
	})
}
