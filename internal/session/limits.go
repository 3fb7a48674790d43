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
	// Guest replaces a longer Idle for guests; 0 for none. GuestBytes is how much the
	// guests of one address may store in an hour; 0 for no limit.
	Guest      time.Duration
	GuestBytes int
}

func (l Limits) lifetime(remember bool) time.Duration {
	if remember {
		return l.Remember
	}
	return l.Lifetime
}

// IdleOf returns the idle timeout of r, whose owner did not ask to stay logged in.
func (l Limits) IdleOf(r Record) time.Duration {
	if r.Member == nil && l.Guest > 0 {
		return min(l.Guest, l.Idle)
	}
	return l.Idle
}

// IdleExpiresAt returns when r expires if it is not used again.
func (l Limits) IdleExpiresAt(r Record) time.Time {
	if r.Member != nil && r.Member.Remember {
		return r.ExpiresAt
	}
	if idle := r.LastSeenAt.Add(l.IdleOf(r)); idle.Before(r.ExpiresAt) {
		return idle
	}
	return r.ExpiresAt
}

// CouldExpire reports whether a session that ended by time was old enough for that. If it
// was not, someone deleted its record from the store.
func (l Limits) CouldExpire(d Device) bool {
	limit := d.ExpiresAt.Sub(d.CreatedAt)
	if !d.Remembered {
		limit = min(limit, l.Idle)
	}
	const skew = time.Minute // of the clocks of server and database
	return d.RevokedAt.Sub(d.CreatedAt) >= limit-skew
}

// Live reports whether r has exceeded neither limit. If this server's clock is
// behind that of the server that wrote r, the last use is in the future and counts
// as recent.
func (l Limits) Live(r Record, now time.Time) bool {
	return now.Before(l.IdleExpiresAt(r))
}
