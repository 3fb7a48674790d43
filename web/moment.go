package web

import (
	"strconv"
	"time"
)

// Moment is a time as a page shows it; the partial "moment" renders it.
type Moment struct{ ISO, Words string }

// MomentAt describes t relative to now: the distance and, from an hour on, the date and
// time in now's time zone. The year of t must have four digits. The pages' script
// describes the distance in the same words. The profile page has five Moments, so both
// texts share one allocation.
func MomentAt(t, now time.Time) Moment {
	var buffer [80]byte
	text := t.UTC().AppendFormat(buffer[:0], time.RFC3339) // 2006-01-02T15:04:05Z
	iso := len(text)
	d := t.Sub(now)
	text = appendDistance(text, d)
	if d.Abs() >= time.Hour {
		text = t.In(now.Location()).AppendFormat(text, ", Mon 2 Jan 15:04 MST")
	}
	all := string(text)
	return Moment{ISO: all[:iso], Words: all[iso:]}
}

// Distance describes a time relative to now: "3 minutes ago", "in 23 hours". It
// counts seconds below a minute, minutes below an hour and hours below a day. Past
// times are rounded down and future ones to the nearest unit, so that one day less
// a second is "in 1 day".
func Distance(d time.Duration) string { return string(appendDistance(nil, d)) }

func appendDistance(text []byte, d time.Duration) []byte {
	past := d <= 0
	if past {
		d = -d
	}
	if past && d < 10*time.Second {
		return append(text, "just now"...)
	}
	if !past {
		text = append(text, "in "...)
	}
	in := func(unit time.Duration) int {
		if past {
			return int(d / unit)
		}
		return int(d.Round(unit) / unit)
	}
	if n := in(time.Second); n < 60 {
		text = appendCount(text, n, "second")
	} else if n := in(time.Minute); n < 60 {
		text = appendCount(text, n, "minute")
	} else if n := in(time.Hour); n < 24 {
		text = appendCount(text, n, "hour")
	} else {
		text = appendCount(text, in(24*time.Hour), "day")
	}
	if past {
		text = append(text, " ago"...)
	}
	return text
}

// lasting describes a duration in the largest unit that divides it: "30 days" or "36
// hours".
func lasting(d time.Duration) string {
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
func Count(n int, unit string) string { return string(appendCount(nil, n, unit)) }

func appendCount(text []byte, n int, unit string) []byte {
	text = strconv.AppendInt(text, int64(n), 10)
	text = append(text, ' ')
	text = append(text, unit...)
	if n != 1 {
		text = append(text, 's')
	}
	return text
}
