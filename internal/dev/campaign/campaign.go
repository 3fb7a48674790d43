// Package campaign says which tests run only in "make campaign", and which do
// more there than in "make test": those that take minutes or gigabytes, and
// those whose limits hold only on a machine that does nothing else.
//
// It imports nothing of this module, so that every test can import it.
// docs/security.md names the campaign's tests, and a test compares it with the
// calls of [Only] and [Number].
package campaign

import (
	"os"
	"testing"
	"time"
)

// variable is set to 1 by "make campaign".
const variable = "HOLDFAST_CAMPAIGN"

// On reports whether the campaign runs.
func On() bool { return os.Getenv(variable) == "1" }

// Only skips a test that runs only in the campaign.
func Only(t testing.TB) {
	t.Helper()
	if !On() {
		t.Skip("runs in make campaign (" + variable + "=1)")
	}
}

// Number returns how many rounds, rows or servers a test takes, or how much time
// it grants: the first in "make test", the second in the campaign.
func Number[T int | time.Duration](test, campaign T) T {
	if On() {
		return campaign
	}
	return test
}
