package web

import (
	"strconv"
	"time"
)

// moment is a time as a page shows it.
type moment struct{ ISO, Exact, Words string }

// momentAt describes t, in a year of four digits, relative to now. The profile
// has five of these, so the calendar is computed once for both spellings of t,
// and the three texts share one allocation.
func momentAt(t, now time.Time) moment {
	var buffer [96]byte
	t = t.UTC()
	text := t.AppendFormat(buffer[:0], time.RFC3339) // 2006-01-02T15:04:05Z
	iso := len(text)
	day := text[8:10]
	if day[0] == '0' {
		day = day[1:]
	}
	text = append(text, day...)
	text = append(text, ' ')
	text = append(text, t.Month().String()...)
	text = append(text, ' ')
	text = append(text, text[:4]...)
	text = append(text, ", "...)
	text = append(text, text[11:19]...)
	text = append(text, " UTC"...)
	exact := len(text)
	text = appendDistance(text, t.Sub(now))
	all := string(text)
	return moment{ISO: all[:iso], Exact: all[iso:exact], Words: all[exact:]}
}

// distance describes a time relative to now: "3 minutes ago", "in 23 hours".
func distance(d time.Duration) string { return string(appendDistance(nil, d)) }

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
	switch {
	case d < time.Minute:
		text = appendCount(text, int(d/time.Second), "second")
	case d < time.Hour:
		text = appendCount(text, int(d/time.Minute), "minute")
	case d < 48*time.Hour:
		text = appendCount(text, int(d/time.Hour), "hour")
	default:
		text = appendCount(text, int(d/(24*time.Hour)), "day")
	}
	if past {
		text = append(text, " ago"...)
	}
	return text
}

// count is a number of things: "1 device", "2 devices".
func count(n int, unit string) string { return string(appendCount(nil, n, unit)) }

func appendCount(text []byte, n int, unit string) []byte {
	text = strconv.AppendInt(text, int64(n), 10)
	text = append(text, ' ')
	text = append(text, unit...)
	if n != 1 {
		text = append(text, 's')
	}
	return text
}
