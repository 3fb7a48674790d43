package session

import "time"

// Limits say how long a session lives. Both are checked by the server on every
// request, from the record itself, as well as by the store's own time to live
// (OWASP Session Management, "Session Expiration"; NIST SP 800-63B-4 section 2.1.3
// asks a reauthentication at least every 30 days).
type Limits struct {
	Idle     time.Duration // longest time between two requests
	Lifetime time.Duration // longest time from log-in, whatever the activity
	// Remember is the lifetime of a session whose owner asked to be kept
	// logged in. It has no shorter idle limit: being away is what it is for.
	Remember time.Duration
}

func (l Limits) lifetime(remember bool) time.Duration {
	if remember {
		return l.Remember
	}
	return l.Lifetime
}

// IdleExpiresAt is when r ends if it is not used again.
func (l Limits) IdleExpiresAt(r Record) time.Time {
	if r.Member != nil && r.Member.Remember {
		return r.ExpiresAt
	}
	return earlier(r.LastSeenAt.Add(l.Idle), r.ExpiresAt)
}

// Live reports whether r has neither been idle too long nor grown too old.
// A clock that runs behind the one that wrote r sees a use in the future,
// which is a recent one.
func (l Limits) Live(r Record, now time.Time) bool {
	return now.Before(l.IdleExpiresAt(r)) && now.Before(r.ExpiresAt)
}

// touchEvery is how far apart two uses must be for the later one to be written
// down: a minute, or a twentieth of a short idle limit. In between a page view
// reads and does not write.
func (l Limits) touchEvery() time.Duration {
	return min(time.Minute, l.Idle/20)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
