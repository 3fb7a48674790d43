package web

import (
	"testing"
	"time"
)

func TestALengthOfTimeIsAWholeNumberOfItsUnit(t *testing.T) {
	for length, want := range map[time.Duration]string{
		30 * 24 * time.Hour: "30 days", 24 * time.Hour: "1 day", 12 * time.Hour: "12 hours", 36 * time.Hour: "36 hours",
		90 * time.Minute: "90 minutes", time.Second: "1 second",
	} {
		if got := lasting(length); got != want {
			t.Errorf("%s is %q, want %q", length, got, want)
		}
	}
}
