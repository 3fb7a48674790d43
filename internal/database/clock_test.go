package database_test

import (
	"sync"
	"testing"
	"time"

	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/session"
)

// clockBack makes it look as if the clock had gone back: it raises the floor.
func clockBack(t *testing.T, db *database.DB, by time.Duration) {
	t.Helper()
	run(t, db, `UPDATE clock SET floor_ms = floor_ms + $1`, by.Milliseconds())
}

func readClock(t *testing.T, db *database.DB) session.Clock {
	t.Helper()
	clock, err := db.Devices().Clock(t.Context())
	require.NoError(t, err)
	return clock
}

// TestNothingEndsBeforeTheFloorOfTheClock revokes sessions in every way after the clock
// has gone back a little, and after it has gone back far before any server has read it.
func TestNothingEndsBeforeTheFloorOfTheClock(t *testing.T) {
	for _, by := range []time.Duration{5 * time.Second, time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			onBoth(t, func(t *testing.T, db *database.DB) {
				ada := addPerson(t, db, 1)
				all := []session.Device{deviceOf(ada, 1), deviceOf(ada, 2), deviceOf(ada, 3)}
				insertDevices(t, db, all...)
				age(t, db, 2*time.Minute)
				readClock(t, db)
				clockBack(t, db, by)
				floor := value[int64](t, db, `SELECT floor_ms FROM clock`)
				endDevices(t, db, session.RevokedByLogOut, all[0].ID)
				require.NoError(t, db.Devices().Expire(t.Context(), []string{all[1].ID}))
				require.NoError(t, db.Devices().RevokeAll(t.Context(), session.RevokedByOperator, func(int) {}))
				if keys := endedSince(t, db, time.UnixMilli(floor)); len(keys) != len(all) {
					t.Errorf("ended since the floor: %q; want all three", keys)
				}
			})
		})
	}
}

// TestAClockThatGoesBackFarBeginsAnEpoch: all servers share it, and from then on the
// clock stamps revocations again. A floor that is not far ahead stays.
func TestAClockThatGoesBackFarBeginsAnEpoch(t *testing.T) {
	sharedOnBoth(t, func(t *testing.T, open func() *database.DB) {
		db, other := open(), open()
		first := readClock(t, db)
		clockBack(t, db, 9*time.Second)
		if c := readClock(t, db); c.Epoch != first.Epoch || !c.Floor.Equal(first.Floor.Add(9*time.Second)) {
			t.Errorf("9 s behind: %+v after %+v", c, first)
		}
		clockBack(t, db, time.Minute)
		clocks := make([]session.Clock, 8)
		var readers sync.WaitGroup
		for i := range clocks {
			readers.Go(func() {
				var err error
				if clocks[i], err = []*database.DB{db, other}[i%2].Devices().Clock(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		readers.Wait()
		for _, c := range clocks {
			if c.Epoch == first.Epoch || c.Epoch != clocks[0].Epoch || c.Floor.After(c.Now) {
				t.Errorf("a minute behind: %+v after %+v", c, first)
			}
		}
	})
}

// TestWithoutWritesTheClockIsReadAllTheSame also checks that the floor does not change.
func TestWithoutWritesTheClockIsReadAllTheSame(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		first := readClock(t, db)
		forbid := `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE read_only_sql_transaction; END';
			CREATE TRIGGER refuse BEFORE UPDATE ON clock EXECUTE FUNCTION refuse()`
		if db.Pool() == nil {
			forbid = `CREATE TRIGGER refuse BEFORE UPDATE ON clock BEGIN SELECT RAISE(FAIL, 'no writes'); END`
		}
		clockBack(t, db, -time.Minute) // the floor is behind, as after a minute without writes
		run(t, db, forbid)
		c := readClock(t, db)
		if want := (session.Clock{Now: c.Now, Floor: first.Floor.Add(-time.Minute), Epoch: first.Epoch}); c != want {
			t.Errorf("read %+v, want %+v", c, want)
		}
	})
}
