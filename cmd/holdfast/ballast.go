package main

import (
	"math"
	"runtime/debug"
)

// ballastBytes is memory that is set aside and never touched, so that it takes
// no room in the machine. It only counts: Go collects garbage whenever the heap
// has doubled, and the few MiB that this server lives on double many times a
// second under load. With the ballast there is a collection for every 20 MiB
// or so. A larger GOGC would do the same, and would let the 19 MiB of each
// password hash be multiplied too.
const ballastBytes = 16 << 20

// ballast returns what to keep until the server ends; nothing where the
// operator has set GOMEMLIMIT, which would count it.
func ballast() []byte {
	if debug.SetMemoryLimit(-1) != math.MaxInt64 { // -1 only asks
		return nil
	}
	return make([]byte, ballastBytes)
}
