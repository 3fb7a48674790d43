package testkit

import "holdfast/internal/password"

// Hasher returns a hasher of passwords for tests in which the cost of a hash is
// not the subject. A hash of the default cost takes 30 ms, several times as long
// under the race detector.
func Hasher() *password.Hasher {
	return password.NewHasher(password.Cost{MemoryKiB: 16, Passes: 1}, 2, Patience)
}
