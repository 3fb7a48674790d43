package database_test

import (
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/session"
)

// dawn is the start time in these tests.
var dawn = time.UnixMilli(1_800_000_000_000).UTC()

// deviceOf returns a device whose ID and session key no other device has.
func deviceOf(person string, n int) session.Device {
	return session.Device{
		ID: fmt.Sprintf("%s-%d", strings.TrimLeft(person, "0"), n), PersonID: person, SessionKey: fmt.Sprintf("%s%021d", person, n),
		UserAgent: "agent \u00e9", Address: "2001:db8::1", Remembered: n%2 == 0,
		CreatedAt: dawn, ExpiresAt: dawn.Add(time.Hour),
	}
}

// addPerson adds a person with a unique ID.
func addPerson(t *testing.T, db *database.DB, n int) string {
	t.Helper()
	id, email := fmt.Sprintf("%022d", n), fmt.Sprintf("person%d@example.org", n)
	err := db.People().Insert(t.Context(), account.Record{
		Person:   account.Person{ID: id, Name: "Ada", Email: email, Created: dawn},
		EmailKey: email, PasswordHash: "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
	})
	require.NoError(t, err)
	return id
}

// insertDevices stores devices one second apart, the last of them now.
func insertDevices(t *testing.T, db *database.DB, devices ...session.Device) {
	t.Helper()
	for _, d := range devices {
		age(t, db, time.Second)
		require.NoError(t, db.Devices().Insert(t.Context(), d))
		if name, err := db.Devices().Confirm(t.Context(), d.ID); name != "Ada" || err != nil {
			t.Fatal(name, err)
		}
	}
}

// age makes all devices older, because the database's clock cannot be set.
func age(t *testing.T, db *database.DB, by time.Duration) {
	t.Helper()
	_, err := db.SQL().Exec(`UPDATE devices SET created_ms = created_ms - $1, deadline_ms = deadline_ms - $1, ended_ms = ended_ms - $1`, by.Milliseconds())
	require.NoError(t, err)
}

func endDevices(t *testing.T, db *database.DB, why session.RevokeReason, ids ...string) {
	t.Helper()
	keys := make([]string, len(ids))
	for i, id := range ids {
		row := db.SQL().QueryRowContext(t.Context(), `SELECT session_key FROM devices WHERE id = $1`, id)
		if err := row.Scan(&keys[i]); err != nil && !errors.Is(err, sql.ErrNoRows) {
			t.Fatal(err)
		}
	}
	require.NoError(t, db.Devices().RevokeByKey(t.Context(), keys, why))
}

// sameDevices compares devices by ID, in order.
func sameDevices(t *testing.T, what string, got []session.Device, err error, want ...session.Device) {
	t.Helper()
	ids := func(devices []session.Device) (ids []string) {
		for _, d := range devices {
			ids = append(ids, d.ID)
		}
		return ids
	}
	if err != nil || !reflect.DeepEqual(ids(got), ids(want)) {
		t.Errorf("%s: %q, %v; want %q", what, ids(got), err, ids(want))
	}
}

func TestADeviceIsInsertedListedAndEnded(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		devices := db.Devices()
		ada, bea := addPerson(t, db, 1), addPerson(t, db, 2)
		one, two, three, hers := deviceOf(ada, 1), deviceOf(ada, 2), deviceOf(ada, 3), deviceOf(bea, 4)
		insertDevices(t, db, one, two, three, hers)

		found, err := devices.Find(t.Context(), ada, two.ID)
		if lifetime := found.ExpiresAt.Sub(found.CreatedAt); lifetime != time.Hour || time.Since(found.CreatedAt) > time.Minute {
			t.Errorf("created %s for %s; want by the database's clock, for an hour", found.CreatedAt, lifetime)
		}
		found.CreatedAt, found.ExpiresAt = two.CreatedAt, two.ExpiresAt
		if err != nil || !reflect.DeepEqual(found, two) {
			t.Errorf("found %+v, %v; want %+v", found, err, two)
		}
		for _, wrong := range [][2]string{{bea, two.ID}, {ada, "nothing"}, {ada, ""}, {"", two.ID}} {
			if _, err := devices.Find(t.Context(), wrong[0], wrong[1]); !errors.Is(err, session.ErrNoDevice) {
				t.Errorf("find %q: %v", wrong, err)
			}
		}
		live, err := devices.Live(t.Context(), ada, 10)
		sameDevices(t, "live", live, err, three, two, one)
		live, err = devices.Live(t.Context(), ada, 2)
		sameDevices(t, "the latest two", live, err, three, two)

		endDevices(t, db, session.RevokedByOwner, one.ID, hers.ID, "nothing")
		endDevices(t, db, session.RevokedByTime, one.ID) // too late: it has ended already
		age(t, db, time.Second)
		endDevices(t, db, session.RevokedByLogOut, two.ID)
		endDevices(t, db, session.RevokedByLogOut) // no devices
		past, err := devices.Past(t.Context(), ada, session.Device{}, 0, 10)
		sameDevices(t, "past", past, err, two, one)
		if len(past) == 2 && (past[1].RevokeReason != session.RevokedByOwner || time.Since(past[1].RevokedAt).Abs() > time.Minute) {
			t.Errorf("the first ended %s at %s", past[1].RevokeReason, past[1].RevokedAt)
		}
		past, err = devices.Past(t.Context(), ada, session.Device{}, 1, 1)
		sameDevices(t, "the second page", past, err, one)
		live, err = devices.Live(t.Context(), ada, 10)
		sameDevices(t, "live then", live, err, three)
		all, err := devices.ListUnexpired(t.Context(), ada, "", 2)
		sameDevices(t, "believable", all, err, one, two)
		all, err = devices.ListUnexpired(t.Context(), ada, two.ID, 2)
		sameDevices(t, "the next believable", all, err, three)
		age(t, db, time.Hour)
		live, err = devices.Live(t.Context(), ada, 10)
		sameDevices(t, "live after their lifetime, until it is marked", live, err, three)
		require.NoError(t, devices.Expire(t.Context(), []string{three.ID}))
		live, err = devices.Live(t.Context(), ada, 10)
		sameDevices(t, "live then", live, err)
		past, err = devices.Past(t.Context(), ada, session.Device{}, 0, 1)
		sameDevices(t, "past then", past, err, three)
		age(t, db, 24*time.Hour)
		all, err = devices.ListUnexpired(t.Context(), ada, "", 10)
		sameDevices(t, "believable a day after their lifetime", all, err)
	})
}

// TestOnlyWhatIsConfirmedCounts: a login whose session could not be stored is in no
// list, but can still be revoked.
func TestOnlyWhatIsConfirmedCounts(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		devices := db.Devices()
		ada := addPerson(t, db, 1)
		half, ended := deviceOf(ada, 1), deviceOf(ada, 2)
		for _, d := range []session.Device{half, ended} {
			require.NoError(t, devices.Insert(t.Context(), d))
		}
		live, err := devices.Live(t.Context(), ada, 10)
		sameDevices(t, "live", live, err)
		all, err := devices.ListUnexpired(t.Context(), ada, "", 10)
		sameDevices(t, "believable", all, err, half, ended)
		endDevices(t, db, session.RevokedByOperator, ended.ID)
		for _, id := range []string{ended.ID, "nothing"} {
			if _, err := devices.Confirm(t.Context(), id); !errors.Is(err, session.ErrEnded) {
				t.Errorf("confirm %s: %v", id, err)
			}
		}
		past, err := devices.Past(t.Context(), ada, session.Device{}, 0, 10)
		sameDevices(t, "past", past, err)
	})
}

func TestOnlyADeviceOlderThanAMinuteIsFoundExpired(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		ada := addPerson(t, db, 1)
		old, young := deviceOf(ada, 1), deviceOf(ada, 2)
		insertDevices(t, db, old)
		age(t, db, 2*time.Minute)
		insertDevices(t, db, young)
		require.NoError(t, db.Devices().Expire(t.Context(), []string{old.ID, young.ID}))
		live, err := db.Devices().Live(t.Context(), ada, 10)
		sameDevices(t, "live", live, err, young)
		past, err := db.Devices().Past(t.Context(), ada, session.Device{}, 0, 10)
		sameDevices(t, "past", past, err, old)
	})
}

func TestWhatEndedIsKnownByItsKey(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		db := open()
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
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		servers := []*database.DB{open(), open(), open()}
		db := servers[0]
		ada := addPerson(t, db, 1)
		const day = 24 * time.Hour
		left := func() (left int) {
			t.Helper()
			require.NoError(t, db.SQL().QueryRowContext(t.Context(), `SELECT count(*) FROM devices`).Scan(&left))
			return left
		}
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
			if n := left(); n != want {
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
		if _, err := db.SQL().ExecContext(t.Context(), `UPDATE jobs SET ran_ms = ran_ms - $1`, day.Milliseconds()); err != nil {
			t.Fatal(err)
		}
		ask(0, "a day later")
	})
}

// TestALogInIsConfirmedWithTheNameOfThatMoment pauses the confirming statement while
// the person is renamed: if the rename sees the device unconfirmed, the confirmation
// must see the new name.
func TestALogInIsConfirmedWithTheNameOfThatMoment(t *testing.T) {
	db := open(t, testkit.Postgres(t))
	ada := addPerson(t, db, 1)
	d := deviceOf(ada, 1)
	require.NoError(t, db.Devices().Insert(t.Context(), d))
	for _, statement := range []string{
		`CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$`,
		`CREATE TRIGGER hold BEFORE UPDATE ON devices FOR EACH ROW EXECUTE FUNCTION hold()`,
	} {
		if _, err := db.SQL().ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	holder, err := db.SQL().BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer holder.Rollback()
	if _, err := holder.ExecContext(t.Context(), `SELECT pg_advisory_xact_lock(1)`); err != nil {
		t.Fatal(err)
	}
	confirmed := make(chan string, 1)
	go func() {
		name, err := db.Devices().Confirm(t.Context(), d.ID)
		if err != nil {
			t.Error(err)
		}
		confirmed <- name
	}()
	testkit.Eventually(t, testkit.Patience, "wait for the lock", func() error {
		var waiting int
		err := db.SQL().QueryRowContext(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`).Scan(&waiting)
		if err == nil && waiting == 0 {
			err = errors.New("it does not wait")
		}
		return err
	})
	if _, err := db.People().UpdateName(t.Context(), ada, "Renamed"); err != nil {
		t.Fatal(err)
	}
	live, err := db.Devices().Live(t.Context(), ada, 10)
	sameDevices(t, "found by the rename", live, err)
	require.NoError(t, holder.Commit())
	if name := <-confirmed; name != "Renamed" {
		t.Errorf("confirmed with the name %q", name)
	}
}

func endedSince(t *testing.T, db *database.DB, since time.Time) (all []string) {
	t.Helper()
	err := db.Devices().RevokedSince(t.Context(), since, func(keys []string) error { all = append(all, keys...); return nil })
	require.NoError(t, err)
	return all
}

func TestWhoMayNotLogInIsNotWrittenDown(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		ada := addPerson(t, db, 1)
		if _, err := db.People().UpdateDisabled(t.Context(), ada, dawn); err != nil {
			t.Fatal(err)
		}
		for _, person := range []string{ada, fmt.Sprintf("%022d", 99), ""} {
			if err := db.Devices().Insert(t.Context(), deviceOf(person, 1)); !errors.Is(err, session.ErrEnded) {
				t.Errorf("a log-in of %q: %v", person, err)
			}
		}
		record, err := db.People().ByID(t.Context(), ada)
		if err != nil || !record.Disabled {
			t.Errorf("the try let them in again: %+v, %v", record, err)
		}
		all, err := db.Devices().ListUnexpired(t.Context(), "", "", 10)
		sameDevices(t, "written", all, err)
	})
}

// TestDisablingComesBeforeOrAfterALogInNeverWithin: once the person is disabled, every
// login has either been refused or can be found.
func TestDisablingComesBeforeOrAfterALogInNeverWithin(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		db, other := open(), open()
		for round := range 20 {
			person := addPerson(t, db, round+1)
			var group sync.WaitGroup
			written := make([]bool, 6)
			for i := range written {
				group.Go(func() {
					err := []*database.DB{db, other}[i%2].Devices().Insert(t.Context(), deviceOf(person, i))
					if err != nil && !errors.Is(err, session.ErrEnded) {
						t.Errorf("log-in: %v", err)
					}
					written[i] = err == nil
				})
			}
			if _, err := other.People().UpdateDisabled(t.Context(), person, dawn); err != nil {
				t.Fatal(err)
			}
			found, err := other.Devices().ListUnexpired(t.Context(), person, "", 10)
			require.NoError(t, err)
			group.Wait()
			n := 0
			for _, is := range written {
				if is {
					n++
				}
			}
			if n != len(found) {
				t.Fatalf("round %d: %d log-ins were written, %d were there when the person was disabled", round, n, len(found))
			}
		}
	})
}

// manyDevices stores devices of one person; many is the number of the last row. ended
// holds the values of ended_ms and ended_how.
func manyDevices(t *testing.T, db *database.DB, person string, many int, ended string) {
	t.Helper()
	_, err := db.SQL().ExecContext(t.Context(), `
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
INSERT INTO devices (id, person_id, session_key, user_agent, address, remembered, created_ms, deadline_ms, ended_ms, ended_how)
SELECT CAST(i AS TEXT), $2, '0000000000000000000000000000000000000' || CAST(100000 + i AS TEXT), '', '', FALSE, 1, 9000000000000, `+ended+`
FROM n`, many, person)
	require.NoError(t, err)
}

// smallPages makes a few rows fill many pages. The campaign uses pages of the usual
// size, and more rows.
func smallPages(db *database.DB) {
	if !campaign.On() {
		db.SmallPages(500)
	}
}

func TestManyEndAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		db := open()
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
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		db := open()
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
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		smallPages(db)
		ada := addPerson(t, db, 1)
		many := campaign.Number(1250, 25_000)
		manyDevices(t, db, ada, many, "CASE WHEN i % 5 = 0 THEN 2 END, CASE WHEN i % 5 = 0 THEN 'owner' END")
		if _, err := db.SQL().Exec(`UPDATE devices SET address = '::1' WHERE session_key < $1`, fmt.Sprintf("%043d", 100_000+many/3)); err != nil {
			t.Fatal(err)
		}
		var reported []int
		require.NoError(t, db.Devices().RevokeAll(t.Context(), session.RevokedByOperator, func(marked int) { reported = append(reported, marked) }))
		if len(reported) < 2 || !slices.IsSorted(reported) {
			t.Errorf("reported %d", reported)
		}
		var operator, owner int
		err := db.SQL().QueryRowContext(t.Context(), `SELECT COUNT(*) FILTER (WHERE ended_how = 'operator'), COUNT(*) FILTER (WHERE ended_how = 'owner') FROM devices`).Scan(&operator, &owner)
		if operator != many*4/5 || owner != many/5 || err != nil {
			t.Errorf("%d ended now, %d before, %v", operator, owner, err)
		}
	})
}
