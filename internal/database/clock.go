package database

import (
	"context"
	"crypto/rand"
	"time"

	"holdfast/internal/session"
)

const (
	// clockTolerance is how far the clock may be behind the floor before a new epoch
	// begins. Until then the floor stamps revocations.
	clockTolerance = 10 * time.Second
	// floorEvery is how far the floor may be behind the clock. All instances together
	// write it once in that time.
	floorEvery = time.Second
)

// fromNow reads the clock once, as now_ms: PostgreSQL reads it again for every NOW_MS of a
// statement.
const fromNow = `FROM (SELECT NOW_MS AS now_ms) AS present
`

// couldLive is the condition that a session may still be valid; $1 is [dayAgo].
// Instances expire sessions by their own clocks, but these deadlines are by the
// database's clock, which may be ahead now or may have been behind at login. So the
// condition excludes a session only a day after its deadline, and only if both clocks
// agree.
const couldLive = `(deadline_ms > $1 OR deadline_ms > NOW_MS - 86400000)`

// dayAgo returns the time a day ago by this instance's clock.
func dayAgo() int64 { return time.Now().Add(-24 * time.Hour).UnixMilli() }

const readClock = `
SELECT epoch, floor_ms, NOW_MS
FROM clock`

const moveFloor = `
UPDATE clock
SET epoch = $1, floor_ms = $2
WHERE epoch = $3
  AND floor_ms = $4`

// Clock implements [session.DeviceStore]. The result is valid even if the floor cannot
// be moved because the database accepts no writes.
func (d devices) Clock(ctx context.Context) (session.Clock, error) {
	for {
		var epoch string
		var floor, now int64
		if err := d.db.scan(ctx, "read clock", into{&epoch, &floor, &now}, readClock); err != nil {
			return session.Clock{}, err
		}
		next := epoch
		switch behind := floor - now; {
		case behind > clockTolerance.Milliseconds():
			next = rand.Text()
		case behind > -floorEvery.Milliseconds():
			return clockOf(now, floor, epoch), nil
		}
		moved, err := d.db.exec(ctx, "raise clock floor", moveFloor, next, now, epoch, floor)
		if err != nil {
			return clockOf(now, floor, epoch), nil
		}
		if moved > 0 {
			return clockOf(now, now, next), nil
		}
	}
}

func clockOf(now, floor int64, epoch string) session.Clock {
	return session.Clock{Now: time.UnixMilli(now).UTC(), Floor: time.UnixMilli(floor).UTC(), Epoch: epoch}
}
