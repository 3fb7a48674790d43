//go:build !race

package testprocess

// raceEnabled says whether the tests have the race detector.
const raceEnabled = false
