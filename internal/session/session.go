// Package session owns one session's life: how a request's token is recognised,
// how the record behind it is read, changed and stored without losing what
// another request stored and without bringing back what has ended, how it ends,
// and the list of a person's devices.
//
// It knows nothing of HTTP routes, pages or people's passwords. Callers use
// verbs ([Session.LogIn], [Session.LogOut], [Session.Flash] …) and never see a
// key. Underneath are scs and a [store.Store].
//
// The files follow a session's life: manager.go finds it, session.go changes
// it, commit.go stores what changed, login.go begins one for a person,
// devices.go lists and ends them.
package session

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"holdfast/internal/text"
)

// The named errors of this package.
var (
	// ErrUnavailable: the store did not answer in time or refused. Nobody is
	// logged out by it.
	ErrUnavailable = errors.New("session store is unavailable")
	// ErrNotNoted: a session has been revoked, and neither the database nor the queue
	// could record it. Should the session store be restored from older
	// data, the session would be there again. Ending it again tries again.
	ErrNotNoted = errors.New("end of a session could not be noted")
	// ErrEnded: the session this request began with has ended meanwhile, and
	// what the request wanted to store in it was not stored.
	ErrEnded = errors.New("session has ended")
	// ErrFlashTaken: a flash on the page just made was shown by a parallel
	// request. The page has to be made again.
	ErrFlashTaken = errors.New("flash was already shown")
	// ErrBadKey, ErrBadValue and ErrFull are about values put in at /session.
	ErrBadKey   = errors.New("key must have 1 to 64 characters, none of them a control character")
	ErrBadValue = errors.New("value must have at most 1,024 bytes of text")
	ErrFull     = errors.New("this session holds as many values as fit")
)

// Limits of the values a person may put into a session. A record stays small
// enough to be read on every request.
const (
	MaxKeyRunes   = 64
	MaxValueBytes = 1024
	MaxValues     = 100
	maxTotalBytes = 16 << 10
)

// Session is what one request knows of the sender's session. It is made by
// [Manager.Load], changed by its verbs, and stored by [Manager.Commit] when
// the request has succeeded: a request that fails has changed nothing.
// It belongs to one goroutine.
type Session struct {
	manager *Manager
	request context.Context // of the request
	scs     context.Context // request with scs's data of this session
	token   string          // that the request sent, if it is well-formed
	reason  Reason          // why the sender is no member; "" for a member
	trace   *Trace          // nil unless the request is observed

	base   Record // as it was read; empty for a guest without a session
	record Record // as this request leaves it

	changed    bool         // record differs from base
	loggedOut  bool         // LogOut was called
	also       []string     // keys of the sessions that LogOut ends beside this one
	login      *text.Sender // LogIn was called, from there
	flashTaken bool         // a flash this request took was already taken elsewhere
	cookie     cookieChange

	committed, cookieWritten bool
}

type cookieChange int

const (
	cookieKept cookieChange = iota
	cookieSet
	cookieCleared
)

// Member returns the person this session belongs to; ok is false for a guest.
func (s *Session) Member() (member Member, ok bool) {
	if s.record.Member == nil {
		return Member{}, false
	}
	return *s.record.Member, true
}

// Stored reports whether there was a session for this request's token.
func (s *Session) Stored() bool { return s.base.raw != nil }

// CreatedAt, LastSeenAt, IdleExpiresAt and ExpiresAt are the times in the
// session's life.
func (s *Session) CreatedAt() time.Time     { return s.record.CreatedAt }
func (s *Session) LastSeenAt() time.Time    { return s.record.LastSeenAt }
func (s *Session) IdleExpiresAt() time.Time { return s.manager.limits.IdleExpiresAt(s.record) }
func (s *Session) ExpiresAt() time.Time     { return s.record.ExpiresAt }

// LogOut ends this session, and those behind other tokens that the browser sent:
// with several cookies of the same name nobody can tell which one is its own.
// They are gone from the store when [Manager.Commit] returns nil, and the
// browser's cookie is cleared.
func (s *Session) LogOut(tokens ...string) {
	s.loggedOut = true
	for _, token := range tokens {
		if token != s.token && WellFormed(token) {
			s.also = append(s.also, Key(token))
		}
	}
}

// LoggedOut reports whether LogOut was called in this request.
func (s *Session) LoggedOut() bool { return s.loggedOut }

// Flash leaves a message that the next page shows once.
func (s *Session) Flash(message string) {
	s.record.Flashes = append(slices.Clone(s.record.Flashes), Flash{ID: newID(), Text: message})
	s.changed = true
}

// TakeFlashes returns the messages waiting for this page and takes them away.
func (s *Session) TakeFlashes() []string {
	if len(s.record.Flashes) == 0 {
		return nil
	}
	var texts []string
	for _, flash := range s.record.Flashes {
		texts = append(texts, flash.Text)
	}
	s.record.Flashes, s.changed = nil, true
	return texts
}

// Values returns a copy of what the person put into this session.
func (s *Session) Values() map[string]string { return maps.Clone(s.record.Values) }

// Set puts a value into the session. Errors: ErrBadKey, ErrBadValue, ErrFull.
func (s *Session) Set(key, value string) error {
	if n := utf8.RuneCountInString(key); n < 1 || n > MaxKeyRunes || !text.Plain(key) {
		return ErrBadKey
	}
	if len(value) > MaxValueBytes || !text.Plain(value) {
		return ErrBadValue
	}
	values := maps.Clone(s.record.Values)
	if values == nil {
		values = map[string]string{}
	}
	values[key] = value
	if !fit(values) {
		return ErrFull
	}
	s.record.Values, s.changed = values, true
	return nil
}

// fit reports whether one session may hold these values.
func fit(values map[string]string) bool {
	total := 0
	for key, value := range values {
		total += len(key) + len(value)
	}
	return len(values) <= MaxValues && total <= maxTotalBytes
}

// Remove takes a value out of the session; removing what is not there changes
// nothing.
func (s *Session) Remove(key string) {
	if _, had := s.record.Values[key]; !had {
		return
	}
	values := maps.Clone(s.record.Values)
	delete(values, key)
	s.record.Values, s.changed = values, true
}
