package store

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"
)

// Clock is a reading of the database's clock. The clock may go back: it is
// corrected, or a replica with another clock replaces the database. Revocations are
// stamped in order all the same:
//
// No revocation is stamped before a Floor that was returned, as long as the Epoch
// is the same. If the clock is found far behind the floor, the floor follows it and
// a new epoch begins. Watermarks of earlier epochs then count as none.
type Clock struct {
	Now   time.Time
	Floor time.Time
	Epoch string // "" at first
}

// watermark is a time up to which revocations are applied to some data: a floor of the
// database's clock. The zero value is none.
type watermark struct {
	at    string // Unix milliseconds, or any junk that was found
	epoch string
}

func watermarkOf(c Clock) watermark {
	ms := c.Floor.UnixMilli()
	if ms <= 0 {
		return watermark{}
	}
	return watermark{strconv.FormatInt(ms, 10), c.Epoch}
}

// ms returns the time as watermarkOf has written it, and 0 for anything else, such as
// "inf", "1e300" or more digits than a time has.
func (w watermark) ms() int64 {
	ms, err := strconv.ParseInt(w.at, 10, 64)
	if err != nil || ms <= 0 || strconv.FormatInt(ms, 10) != w.at {
		return 0
	}
	return ms
}

// since returns the time from which revocations have to be applied to data with this
// watermark: the beginning of time if it is invalid. alarm says why it is, except for
// data without a watermark, which is just new.
func (w watermark) since(c Clock) (since time.Time, alarm string) {
	ms := w.ms()
	switch at := time.UnixMilli(ms); {
	case w.at == "":
		return time.Unix(0, 0), ""
	case ms == 0:
		return time.Unix(0, 0), "session watermark is not a time"
	case at.After(c.Floor.Add(watermarkMargin)):
		return time.Unix(0, 0), "session watermark is in the future"
	case w.epoch != c.Epoch:
		return time.Unix(0, 0), "session watermark is from before the database's clock went back"
	default:
		return at.Add(-watermarkMargin), ""
	}
}

// clockWatch remembers the highest time that this server has read from the
// database's clock. It only warns: [Clock] keeps revocations in order.
type clockWatch struct {
	highest atomic.Int64
	back    *condition
}

// clockJitter is how far a clock may go back unmentioned.
const clockJitter = time.Second

func newClockWatch(log *slog.Logger) *clockWatch {
	return &clockWatch{back: &condition{
		log: log, level: slog.LevelWarn, down: "the database's clock went back", up: "the database's clock has caught up",
	}}
}

func (w *clockWatch) read(ctx context.Context, endings RevocationLog) (Clock, error) {
	highest := w.highest.Load() // before the clock is read: two readings may overtake each other
	clock, err := endings.Clock(ctx)
	if err != nil {
		return Clock{}, err
	}
	switch behind := time.UnixMilli(highest).Sub(clock.Now); {
	case behind > clockJitter:
		w.back.markDown(fmt.Errorf("it is %s behind an earlier reading", behind))
	case behind <= 0:
		w.highest.CompareAndSwap(highest, clock.Now.UnixMilli())
		w.back.markUp()
	}
	return clock, nil
}
