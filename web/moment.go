package web

import (
	"strconv"
	"time"
)

// moment is a time as a page shows it.
type moment struct{ ISO, Exact, Words string }

// momentAt describes t relative to now.
func momentAt(t, now time.Time) moment {
	t = t.UTC()
	return moment{
		ISO:   t.Format(time.RFC3339),
		Exact: t.Format("2 January 2006, 15:04:05 UTC"),
		Words: distance(t.Sub(now)),
	}
}

// distance describes a time relative to now: "3 minutes ago", "in 23 hours".
func distance(d time.Duration) string {
	past := d <= 0
	if past {
		d = -d
	}
	var words string
	switch {
	case d < 10*time.Second && past:
		return "just now"
	case d < time.Minute:
		words = count(int(d.Seconds()), "second")
	case d < time.Hour:
		words = count(int(d.Minutes()), "minute")
	case d < 48*time.Hour:
		words = count(int(d.Hours()), "hour")
	default:
		words = count(int(d.Hours()/24), "day")
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
