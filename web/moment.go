package web

import (
	"strconv"
	"time"
)

// moment is a time as a page shows it.
type moment struct{ ISO, Exact, Words string }

// momentAt says when t is, seen from now, in the time zone of now: how far
// away, and from an hour on the date and the time of day as well. The script
// of the pages says the distance in the same words.
func momentAt(t, now time.Time) moment {
	t = t.In(now.Location())
	words := distance(t.Sub(now))
	if t.Sub(now).Abs() >= time.Hour {
		words += ", " + t.Format("Mon 2 Jan 15:04 MST")
	}
	return moment{
		ISO:   t.UTC().Format(time.RFC3339),
		Exact: t.UTC().Format("2 January 2006, 15:04:05 UTC"),
		Words: words,
	}
}

// distance puts a span from now into words: "3 minutes ago", "in 23 hours". It
// is rounded to the unit it is told in; seconds are told below two minutes
// only.
func distance(d time.Duration) string {
	past := d <= 0
	d = d.Abs()
	var words string
	switch {
	case d < 10*time.Second && past:
		return "just now"
	case d < 2*time.Minute:
		words = count(int(d.Round(time.Second)/time.Second), "second")
	case d < 2*time.Hour:
		words = count(int(d.Round(time.Minute)/time.Minute), "minute")
	case d < 48*time.Hour:
		words = count(int(d.Round(time.Hour)/time.Hour), "hour")
	default:
		words = count(int(d.Round(24*time.Hour)/(24*time.Hour)), "day")
	}
	if past {
		return words + " ago"
	}
	return "in " + words
}

func count(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return strconv.Itoa(n) + " " + unit + "s"
}
