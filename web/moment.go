package web

import (
	"strconv"
	"time"
)

// Moment is a time as a page shows it; the partial "moment" renders it.
type Moment struct{ ISO, Words string }

// MomentAt describes t relative to now: the distance and, from an hour on, the date and
// time in now's time zone. The year of t must have four digits. The pages' script
// describes the distance in the same words.
func MomentAt(t, now time.Time) Moment {
	d := t.Sub(now)
	words := Distance(d)
	if d.Abs() >= time.Hour {
		words += t.In(now.Location()).Format(", Mon 2 Jan 15:04 MST")
	}
	return Moment{ISO: t.UTC().Format(time.RFC3339), Words: words}
}

// Distance describes a time relative to now: "3 minutes ago", "in 23 hours". It
// counts seconds below a minute, minutes below an hour and hours below a day. Past
// times are rounded down and future ones to the nearest unit, so that one day less
// a second is "in 1 day".
func Distance(d time.Duration) string {
	past := d < time.Second/2 // not "in 0 seconds"
	if past {
		d = -d
	}
	if past && d < 10*time.Second {
		return "just now"
	}
	in := func(unit time.Duration) int {
		if past {
			return int(d / unit)
		}
		return int(d.Round(unit) / unit)
	}
	words := Count(in(24*time.Hour), "day")
	if n := in(time.Second); n < 60 {
		words = Count(n, "second")
	} else if n := in(time.Minute); n < 60 {
		words = Count(n, "minute")
	} else if n := in(time.Hour); n < 24 {
		words = Count(n, "hour")
	}
	if past {
		return words + " ago"
	}
	return "in " + words
}

// Lasting describes a duration in the largest unit that divides it: "30 days" or "36
// hours".
func Lasting(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return Count(int(d/(24*time.Hour)), "day")
	case d%time.Hour == 0:
		return Count(int(d/time.Hour), "hour")
	case d%time.Minute == 0:
		return Count(int(d/time.Minute), "minute")
	default:
		return Count(int(d/time.Second), "second")
	}
}

// Count formats a number of things: "1 device", "2 devices".
func Count(n int, unit string) string {
	if n != 1 {
		unit += "s"
	}
	return strconv.Itoa(n) + " " + unit
}
