package testkit

import "holdfast/internal/password"

// Hasher returns a password hasher for tests that are not about the cost of a hash. A
// hash of the default cost takes 30 ms, and several times as long under the race
// detector.
func Hasher() *password.Hasher {
	return password.NewHasher(password.Cost{MemoryKiB: 16, Passes: 1}, 2, Patience)
}
