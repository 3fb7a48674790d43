package session

import (
	"context"
	"net/http"
	"time"
)

// Trace holds what to call while a session is loaded and committed for a request
// whose context carries it, in the manner of [net/http/httptrace]. All of it is
// set. Without one, a request costs one look into its context.
type Trace struct {
	// GotToken is called with the token that came, if any, before it is checked.
	GotToken func(token string)
	// Found is called with a record that was read, before a check at now whether
	// it still lives, and before one of no use is removed.
	Found func(r Record, limits Limits, now time.Time)
	// Loaded is called when it is known who sent the request; why is "" for a
	// member.
	Loaded func(s *Session, why Reason)
	// Committed is called after a Commit that succeeded.
	Committed func(Outcome)
}

type traceKey struct{}

// WithTrace returns a context that carries t.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

func traceOf(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}

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

// Outcome is what [Manager.Commit] did, for a [Trace].
type Outcome struct {
	Act           Act
	OldKey, Key   string // the store's names for the session before and after; "" for none
	Before, After Record // as it was read, and as the request left it
	TouchEvery    time.Duration
	LastSeenAt    time.Time
	TouchErr      error // why the last use could not be stored
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
