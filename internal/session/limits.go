package session

import "time"

// Limits say how long a session lives. The server checks them on every request,
// from the record itself, in addition to the store's TTL (OWASP Session Management,
// "Session Expiration"; NIST SP 800-63B-4 section 2.1.3 asks for reauthentication
// at least every 30 days).
type Limits struct {
	Idle     time.Duration // longest time between two requests
	Lifetime time.Duration // longest time from login, whatever the activity
	// Remember is the lifetime of a session whose owner asked to stay logged in. It
	// has no shorter idle timeout, because it is meant for long absences.
	Remember time.Duration
}

func (l Limits) lifetime(remember bool) time.Duration {
	if remember {
		return l.Remember
	}
	return l.Lifetime
}

// IdleExpiresAt returns when r expires if it is not used again.
func (l Limits) IdleExpiresAt(r Record) time.Time {
	if r.Member != nil && r.Member.Remember {
		return r.ExpiresAt
	}
	if idle := r.LastSeenAt.Add(l.Idle); idle.Before(r.ExpiresAt) {
		return idle
	}
	return r.ExpiresAt
}

// Live reports whether r has exceeded neither limit. If this server's clock is
// behind that of the server that wrote r, the last use is in the future and counts
// as recent.
func (l Limits) Live(r Record, now time.Time) bool {
	return now.Before(l.IdleExpiresAt(r))
}
