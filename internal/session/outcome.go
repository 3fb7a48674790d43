package session

import (
	"net/http"
	"time"
)

// Reason is why a sender is no member.
type Reason string

// The reasons.
const (
	NoToken    Reason = "no token"
	IllFormed  Reason = "ill-formed"
	NotFound   Reason = "not found"
	Unreadable Reason = "unreadable"
	Newer      Reason = "newer" // a newer server wrote the record, and can read it
	Idle       Reason = "idle"
	TooOld     Reason = "too old"
	OfGuest    Reason = "a guest's"
)

// Lookup is how the sender of a request was found, for a page that explains it.
type Lookup struct {
	Reason    Reason    // "" for a member
	Record    Record    // as it was read, also when it had expired
	CheckedAt time.Time // when it was checked; zero when there was none
}

// Lookup returns how the sender was found.
func (s *Session) Lookup() Lookup { return s.lookup }

// Limits returns how long sessions live.
func (m *Manager) Limits() Limits { return m.limits }

// IdleExpiresAt is when r ends if it is not used again.
func (l Limits) IdleExpiresAt(r Record) time.Time { return l.idleExpiresAt(r) }

func (l Limits) whyExpired(r Record, now time.Time) Reason {
	if now.Before(r.ExpiresAt) {
		return Idle
	}
	return TooOld
}

// Act is what became of a session when its request was done.
type Act string

// The acts. Looked and Nobody stored nothing.
const (
	Looked   Act = "looked"  // nothing to store
	Nobody   Act = "nobody"  // no session, and nothing to begin one for
	Touched  Act = "touched" // the last use was stored
	Stored   Act = "stored"  // something was changed
	LoggedIn Act = "logged in"
	Ended    Act = "ended"
)

// Outcome is what [Manager.Commit] did, for a page that explains it.
type Outcome struct {
	Act           Act
	OldKey, Key   string // the store's names for the session before and after; "" for none
	Before, After Record // as it was read, and as the request left it
	TouchEvery    time.Duration
	LastSeenAt    time.Time
	TouchErr      error // why the last use could not be stored
}

// Outcome returns what Commit did; it is empty before.
func (s *Session) Outcome() Outcome {
	o := s.outcome
	if s.committed {
		o.OldKey = keyOf(s.oldToken)
	}
	if s.committed && o.Act != Ended {
		o.Key = s.Key()
	}
	return o
}

// Cookie describes this session's cookie as it was when it was set: all of it
// but its value, which is in the browser alone.
func (s *Session) Cookie() *http.Cookie {
	w := headerOnly{}
	s.manager.setCookie(w, s, "TOKEN")
	cookie, err := http.ParseSetCookie(http.Header(w).Get("Set-Cookie"))
	if err != nil {
		return &http.Cookie{Name: s.manager.CookieName()}
	}
	cookie.Value = ""
	if cookie.MaxAge > 0 {
		cookie.MaxAge = int(s.record.ExpiresAt.Sub(s.record.CreatedAt).Seconds())
	}
	return cookie
}

// headerOnly takes what is written to a header and nothing else.
type headerOnly http.Header

func (h headerOnly) Header() http.Header       { return http.Header(h) }
func (headerOnly) Write(p []byte) (int, error) { return len(p), nil }
func (headerOnly) WriteHeader(int)             {}
