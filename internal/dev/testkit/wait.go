package testkit

import (
	"testing"
	"time"
)

const (
	pollEvery = 5 * time.Millisecond
	slowest   = 200 * time.Millisecond
	// steadyRounds is how many successes in a row make a steady state. After a fault,
	// the first success proves little: a promoted Redis refuses writes again until its
	// replicas have reported, and a proxy checks its servers one after the other.
	steadyRounds = 5
	steadyEvery  = 50 * time.Millisecond
)

// Eventually polls try until it returns nil, for at most limit.
func Eventually(t testing.TB, limit time.Duration, what string, try func() error) {
	t.Helper()
	if err := poll(limit, 1, pollEvery, try); err != nil {
		t.Fatalf("%s: not within %s: %v", what, limit, err)
	}
}

// Steadily polls try until it has returned nil several times in a row, for at most
// limit. Use it after a fault, before the test expects anything to succeed.
func Steadily(t testing.TB, limit time.Duration, what string, try func() error) {
	t.Helper()
	if err := poll(limit, steadyRounds, steadyEvery, try); err != nil {
		t.Fatalf("%s: not steady within %s: %v", what, limit, err)
	}
}

// poll calls try until it has returned nil rounds times in a row, and less often the
// longer it takes, since a try costs time, too. A row of successes that begins within
// limit may end after it. It returns nil or the last error.
func poll(limit time.Duration, rounds int, every time.Duration, try func() error) error {
	began := time.Now()
	for good := 0; ; {
		err := try()
		waited := time.Since(began)
		if err == nil {
			good++
		} else if good = 0; waited > limit {
			return err
		}
		if good == rounds {
			return nil
		}
		time.Sleep(min(max(every, waited/10), slowest))
	}
}
