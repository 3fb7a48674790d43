// Package require owns the checks that end a test when they fail. It imports nothing
// of this module, so that every test can import it.
package require

import "testing"

// NoError ends the test if err is not nil.
func NoError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
