package session

import (
	"context"
	"net/http"
	"time"
)

// Trace holds callbacks for loading and committing a session, in the manner of
// [net/http/httptrace]. Attach it to a request's context with [WithTrace]. All
// fields must be set. Without a trace, a request costs one context lookup.
type Trace struct {
	// GotToken is called with the token that was sent, if any, before it is
	// checked.
	GotToken func(token string)
	// Found is called with a record that was read, before the check whether it has
	// expired at now, and before an expired record is deleted.
	Found func(r Record, limits Limits, now time.Time)
	// Loaded is called when the sender is known; why is "" for a member.
	Loaded func(s *Session, why Reason)
	// Committed is called after a successful Commit.
	Committed func(Outcome)
}

type traceKey struct{}

// WithTrace returns a context that carries t.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// Reason is why the sender is not logged in.
type Reason string

// The reasons.
const (
	NoToken    Reason = "no token"
	IllFormed  Reason = "ill-formed"
	NotFound   Reason = "not found"
	Unreadable Reason = "unreadable"
	Newer      Reason = "newer" // a newer server wrote the record
	Idle       Reason = "idle"
	TooOld     Reason = "too old"
	OfGuest    Reason = "a guest's"
)

func (l Limits) whyExpired(r Record, now time.Time) Reason {
	if now.Before(r.ExpiresAt) {
		return Idle
	}
	return TooOld
}

// Act is what happened to a session at the end of a request.
type Act string

// The acts. Looked and NoSession mean that nothing was stored.
const (
	Looked    Act = "looked"     // nothing to store
	NoSession Act = "no session" // and no reason to start one
	Touched   Act = "touched"    // the last use was stored
	Stored    Act = "stored"     // something was changed
	LoggedIn  Act = "logged in"
	Ended     Act = "ended"
)

// Outcome is what [Manager.Commit] did, for a [Trace].
type Outcome struct {
	Act           Act
	OldKey, Key   string // the store's names for the session before and after; "" for none
	Before, After Record // as it was read, and as the request left it
	TouchEvery    time.Duration
	LastSeenAt    time.Time
	TouchErr      error // why the last use could not be stored
}

// Cookie returns this session's cookie as it was set, without its value, which only
// the browser has.
func (s *Session) Cookie() *http.Cookie {
	set := s.manager.scs.Cookie
	cookie := &http.Cookie{Name: set.Name, Path: set.Path, Domain: set.Domain, Secure: set.Secure, HttpOnly: set.HttpOnly, SameSite: set.SameSite}
	if member, _ := s.Member(); member.Remember {
		cookie.MaxAge = int(s.record.ExpiresAt.Sub(s.record.CreatedAt).Seconds())
	}
	return cookie
}
