package web

import (
	"testing"
	"time"
)

func TestAMomentIsTheSameTimeInEverySpelling(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.February, 28, 23, 59, 59, 999, time.UTC)
	zone := time.FixedZone("", -7*60*60)
	for d := -1000 * 24 * time.Hour; d < 1000*24*time.Hour; d += 7*time.Hour + 13*time.Minute + 1237*time.Millisecond {
		at := now.Add(d).In(zone)
		want := Moment{
			ISO:   at.UTC().Format(time.RFC3339),
			Words: Distance(d),
		}
		if d.Abs() >= time.Hour {
			want.Words += ", " + at.In(now.Location()).Format("Mon 2 Jan 15:04 MST")
		}
		if got := MomentAt(at, now); got != want {
			t.Fatalf("%v is %+v, want %+v", at, got, want)
		}
	}
	if got := MomentAt(time.Time{}, now).ISO; got != "0001-01-01T00:00:00Z" {
		t.Errorf("the zero time is %q", got)
	}
}

func TestADistanceIsToldInOneUnit(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "just now", -9 * time.Second: "just now", -10 * time.Second: "10 seconds ago", time.Second: "in 1 second",
		59 * time.Second: "in 59 seconds", time.Minute - 1: "in 1 minute", -111 * time.Second: "1 minute ago", -2 * time.Minute: "2 minutes ago",
		59 * time.Minute: "in 59 minutes", time.Hour - 1: "in 1 hour", -time.Hour + 1: "59 minutes ago", 119 * time.Minute: "in 2 hours",
		-24*time.Hour + 1: "23 hours ago", 24*time.Hour - 1: "in 1 day", -48*time.Hour + 1: "1 day ago", 48 * time.Hour: "in 2 days", 6*24*time.Hour + 23*time.Hour: "in 7 days", -1000 * 24 * time.Hour: "1000 days ago",
	} {
		if got := Distance(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestALengthOfTimeIsAWholeNumberOfItsUnit(t *testing.T) {
	for length, want := range map[time.Duration]string{
		30 * 24 * time.Hour: "30 days", 24 * time.Hour: "1 day", 12 * time.Hour: "12 hours", 36 * time.Hour: "36 hours",
		90 * time.Minute: "90 minutes", time.Second: "1 second",
	} {
		if got := Lasting(length); got != want {
			t.Errorf("%s is %q, want %q", length, got, want)
		}
	}
}
