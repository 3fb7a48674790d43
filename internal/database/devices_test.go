package database_test

import (
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/database"
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
	run(t, db, `UPDATE devices SET created_ms = created_ms - $1, deadline_ms = deadline_ms - $1, ended_ms = ended_ms - $1`, by.Milliseconds())
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
	onBoth(t, func(t *testing.T, db *database.DB) {
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
	onBoth(t, func(t *testing.T, db *database.DB) {
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
	onBoth(t, func(t *testing.T, db *database.DB) {
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

// TestALogInIsConfirmedWithTheNameOfThatMoment pauses the confirming statement while
// the person is renamed: if the rename sees the device unconfirmed, the confirmation
// must see the new name.
func TestALogInIsConfirmedWithTheNameOfThatMoment(t *testing.T) {
	db := open(t, testkit.Postgres(t))
	ada := addPerson(t, db, 1)
	d := deviceOf(ada, 1)
	require.NoError(t, db.Devices().Insert(t.Context(), d))
	run(t, db, `CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$`)
	run(t, db, `CREATE TRIGGER hold BEFORE UPDATE ON devices FOR EACH ROW EXECUTE FUNCTION hold()`)
	holder, err := db.SQL().BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer holder.Rollback()
	_, err = holder.ExecContext(t.Context(), `SELECT pg_advisory_xact_lock(1)`)
	require.NoError(t, err)
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
	_, err = db.People().UpdateName(t.Context(), ada, "Renamed")
	require.NoError(t, err)
	live, err := db.Devices().Live(t.Context(), ada, 10)
	sameDevices(t, "found by the rename", live, err)
	require.NoError(t, holder.Commit())
	if name := <-confirmed; name != "Renamed" {
		t.Errorf("confirmed with the name %q", name)
	}
}

func TestWhoMayNotLogInIsNotWrittenDown(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		ada := addPerson(t, db, 1)
		_, err := db.People().UpdateDisabled(t.Context(), ada, dawn)
		require.NoError(t, err)
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
	sharedOnBoth(t, func(t *testing.T, open func() *database.DB) {
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
			_, err := other.People().UpdateDisabled(t.Context(), person, dawn)
			require.NoError(t, err)
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
