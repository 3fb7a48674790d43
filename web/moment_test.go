package web

import (
	"testing"
	"time"
)

func TestAMomentIsTheSameTimeInEverySpelling(t *testing.T) {
	now := time.Date(2026, time.February, 28, 23, 59, 59, 999, time.UTC)
	zone := time.FixedZone("", -7*60*60)
	for d := -1000 * 24 * time.Hour; d < 1000*24*time.Hour; d += 7*time.Hour + 13*time.Minute + 1237*time.Millisecond {
		at := now.Add(d).In(zone)
		want := moment{
			ISO:   at.UTC().Format(time.RFC3339),
			Exact: at.UTC().Format("2 January 2006, 15:04:05 UTC"),
			Words: distance(d),
		}
		if got := momentAt(at, now); got != want {
			t.Fatalf("%v is %+v, want %+v", at, got, want)
		}
	}
	if got := momentAt(time.Time{}, now).Exact; got != "1 January 0001, 00:00:00 UTC" {
		t.Errorf("the zero time is %q", got)
	}
}

func TestADistanceIsToldInOneUnit(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "just now", -9 * time.Second: "just now", -10 * time.Second: "10 seconds ago", time.Second: "in 1 second",
		time.Minute - 1: "in 59 seconds", -time.Minute: "1 minute ago", time.Hour - 1: "in 59 minutes", time.Hour: "in 1 hour",
		-48*time.Hour + 1: "47 hours ago", 48 * time.Hour: "in 2 days", -1000 * 24 * time.Hour: "1000 days ago",
	} {
		if got := distance(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
