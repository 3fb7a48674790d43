package testkit_test

import (
	"errors"
	"testing"
	"time"

	"holdfast/internal/dev/testkit"
)

func TestSteadilyStartsCountingAgainAfterAFailure(t *testing.T) {
	answers := []error{nil, nil, errors.New("NOREPLICAS"), nil, nil, nil, nil, nil}
	asked := 0
	testkit.Steadily(t, time.Minute, "five good answers in a row", func() error {
		asked++
		return answers[asked-1]
	})
	if asked != len(answers) {
		t.Errorf("asked %d times, want %d", asked, len(answers))
	}
}
