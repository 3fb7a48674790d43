package testkit

import (
	"sync"
	"time"
)

// Clock is a clock that a test sets. The zero value follows the system clock;
// [StoppedAt] returns one that is stopped. It is safe for concurrent use.
type Clock struct {
	mu      sync.Mutex
	ahead   time.Duration
	stopped time.Time // zero while the clock runs
}

// StoppedAt returns a clock that shows at until the test advances it.
func StoppedAt(at time.Time) *Clock { return &Clock{stopped: at} }

// Now returns the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.stopped
	if at.IsZero() {
		at = time.Now()
	}
	return at.Add(c.ahead)
}

// Advance moves the clock forward, or back if d is negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}
