package database_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/session"
)

// dawn is when everything in these tests begins.
var dawn = time.UnixMilli(1_800_000_000_000).UTC()

// loginOf is an entry that nobody else's has anything in common with.
func loginOf(person string, n int) session.Entry {
	return session.Entry{
		ID: fmt.Sprintf("%s-%d", strings.TrimLeft(person, "0"), n), Person: person, Key: fmt.Sprintf("%s%021d", person, n),
		UserAgent: "agent \u00e9", Address: "2001:db8::1", Remembered: n%2 == 0,
		Created: dawn.Add(time.Duration(n) * time.Second), Deadline: dawn.Add(time.Duration(n)*time.Second + time.Hour),
	}
}

// addPerson adds somebody with an id of its own.
func addPerson(t *testing.T, db *database.DB, n int) string {
	t.Helper()
	id, email := fmt.Sprintf("%022d", n), fmt.Sprintf("person%d@example.org", n)
	err := db.People().Insert(t.Context(), account.Record{
		Person:   account.Person{ID: id, Name: "Ada", Email: email, Created: dawn},
		EmailKey: email, PasswordHash: "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func openEntries(t *testing.T, ledger session.Ledger, entries ...session.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := ledger.Open(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func endEntries(t *testing.T, ledger session.Ledger, how session.Ending, at time.Time, ids ...string) {
	t.Helper()
	if err := ledger.End(t.Context(), ids, how, at); err != nil {
		t.Fatal(err)
	}
}

// sameEntries compares by id, in order.
func sameEntries(t *testing.T, what string, got []session.Entry, err error, want ...session.Entry) {
	t.Helper()
	ids := func(entries []session.Entry) (ids []string) {
		for _, e := range entries {
			ids = append(ids, e.ID)
		}
		return ids
	}
	if err != nil || !reflect.DeepEqual(ids(got), ids(want)) {
		t.Errorf("%s: %q, %v; want %q", what, ids(got), err, ids(want))
	}
}

func TestALogInIsWrittenDownListedAndEnded(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		migrate(t, db)
		ledger := db.Devices()
		ada, bea := addPerson(t, db, 1), addPerson(t, db, 2)
		one, two, three, hers := loginOf(ada, 1), loginOf(ada, 2), loginOf(ada, 3), loginOf(bea, 4)
		openEntries(t, ledger, two, one, three, hers)

		found, err := ledger.Find(t.Context(), ada, two.ID)
		if err != nil || !reflect.DeepEqual(found, two) {
			t.Errorf("found %+v, %v; want %+v", found, err, two)
		}
		for _, wrong := range [][2]string{{bea, two.ID}, {ada, "nothing"}, {ada, ""}, {"", two.ID}} {
			if _, err := ledger.Find(t.Context(), wrong[0], wrong[1]); !errors.Is(err, session.ErrNoDevice) {
				t.Errorf("find %q: %v", wrong, err)
			}
		}
		live, err := ledger.Live(t.Context(), ada, dawn, 10)
		sameEntries(t, "live", live, err, three, two, one)
		live, err = ledger.Live(t.Context(), ada, dawn, 2)
		sameEntries(t, "the latest two", live, err, three, two)
		live, err = ledger.Live(t.Context(), "", dawn, 10)
		sameEntries(t, "everybody's", live, err, hers, three, two, one)
		live, err = ledger.Live(t.Context(), ada, one.Deadline, 10)
		sameEntries(t, "after the first deadline", live, err, three, two)

		endEntries(t, ledger, session.EndedByOwner, dawn.Add(time.Minute), one.ID, hers.ID, "nothing")
		endEntries(t, ledger, session.EndedByTime, dawn.Add(time.Hour), one.ID) // too late: it has ended already
		endEntries(t, ledger, session.EndedByLogOut, dawn.Add(2*time.Minute), two.ID)
		endEntries(t, ledger, session.EndedByRenewal, dawn.Add(3*time.Minute), three.ID)
		endEntries(t, ledger, session.EndedByLogOut, dawn) // nobody
		past, err := ledger.Past(t.Context(), ada, 0, 10)
		sameEntries(t, "past", past, err, two, one)
		if len(past) == 2 && (past[1].How != session.EndedByOwner || !past[1].Ended.Equal(dawn.Add(time.Minute))) {
			t.Errorf("the first ended %s at %s", past[1].How, past[1].Ended)
		}
		past, err = ledger.Past(t.Context(), ada, 1, 1)
		sameEntries(t, "the second page", past, err, one)
		for id, want := range map[string]bool{one.ID: false, "nothing": false} {
			if standing, err := ledger.Standing(t.Context(), id); standing != want || err != nil {
				t.Errorf("%s stands: %t, %v", id, standing, err)
			}
		}
	})
}

func TestWhatEndedLatelyIsKnownByItsKey(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		migrate(t, db)
		ledger := db.Devices()
		ada := addPerson(t, db, 1)
		early, late, running, over := loginOf(ada, 1), loginOf(ada, 2), loginOf(ada, 3), loginOf(ada, 4)
		over.Deadline = over.Created.Add(time.Minute)
		openEntries(t, ledger, early, late, running, over)
		endEntries(t, ledger, session.EndedByLogOut, dawn.Add(10*time.Minute), early.ID)
		endEntries(t, ledger, session.EndedByRenewal, dawn.Add(20*time.Minute), late.ID, over.ID)
		now := dawn.Add(30 * time.Minute)
		for since, want := range map[time.Duration][]string{15 * time.Minute: {late.Key}, 20 * time.Minute: {late.Key}, 20*time.Minute + time.Millisecond: nil} {
			keys, err := ledger.EndedSince(t.Context(), dawn.Add(since), now)
			if err != nil || !reflect.DeepEqual(keys, want) {
				t.Errorf("ended since %s: %q, %v; want %q", since, keys, err, want)
			}
		}
		if err := ledger.Forget(t.Context(), dawn.Add(15*time.Minute)); err != nil {
			t.Fatal(err)
		}
		past, err := ledger.Past(t.Context(), ada, 0, 10)
		sameEntries(t, "remembered", past, err)
		live, err := ledger.Live(t.Context(), ada, dawn, 10)
		sameEntries(t, "running", live, err, running)
	})
}

func TestWhoMayNotLogInIsNotWrittenDown(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		migrate(t, db)
		ada := addPerson(t, db, 1)
		if _, err := db.People().UpdateDisabled(t.Context(), ada, dawn); err != nil {
			t.Fatal(err)
		}
		for _, person := range []string{ada, fmt.Sprintf("%022d", 99), ""} {
			if err := db.Devices().Open(t.Context(), loginOf(person, 1)); !errors.Is(err, session.ErrEnded) {
				t.Errorf("a log-in of %q: %v", person, err)
			}
		}
		record, err := db.People().ByID(t.Context(), ada)
		if err != nil || !record.Disabled {
			t.Errorf("the try let them in again: %+v, %v", record, err)
		}
		live, err := db.Devices().Live(t.Context(), "", dawn, 10)
		sameEntries(t, "written", live, err)
	})
}

// TestDisablingComesBeforeOrAfterALogInNeverWithin: after the person is
// disabled, every log-in is refused or is already there to be found.
func TestDisablingComesBeforeOrAfterALogInNeverWithin(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		db, other := open(), open()
		migrate(t, db)
		for round := range 20 {
			person := addPerson(t, db, round+1)
			var group sync.WaitGroup
			written := make([]bool, 6)
			for i := range written {
				group.Go(func() {
					err := []*database.DB{db, other}[i%2].Devices().Open(t.Context(), loginOf(person, i))
					if err != nil && !errors.Is(err, session.ErrEnded) {
						t.Errorf("log-in: %v", err)
					}
					written[i] = err == nil
				})
			}
			if _, err := other.People().UpdateDisabled(t.Context(), person, dawn); err != nil {
				t.Fatal(err)
			}
			found, err := other.Devices().Live(t.Context(), person, dawn, 10)
			if err != nil {
				t.Fatal(err)
			}
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

func TestManyEndAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		migrate(t, db)
		ada := addPerson(t, db, 1)
		const many = 1203 // more than two statements take
		var ids []string
		tx, err := db.SQL().Begin()
		if err != nil {
			t.Fatal(err)
		}
		for i := range many {
			e := loginOf(ada, i)
			ids = append(ids, e.ID)
			if _, err := tx.Exec(`INSERT INTO devices (id, person_id, session_key, user_agent, address, remembered, created_ms, deadline_ms) VALUES ($1, $2, $3, '', '', $4, $5, $6)`,
				e.ID, ada, e.Key, false, e.Created.UnixMilli(), e.Deadline.UnixMilli()); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		endEntries(t, db.Devices(), session.EndedByOperator, dawn, ids...)
		keys, err := db.Devices().EndedSince(context.Background(), dawn, dawn)
		if err != nil || len(keys) != many {
			t.Errorf("%d ended, %v; want %d", len(keys), err, many)
		}
	})
}
