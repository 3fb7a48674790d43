// Package session owns the life of a session: how a request's token is recognised,
// how its record is read, changed and stored without losing what another request
// stored and without restoring a revoked session, how a session is revoked, and the
// list of a person's devices.
//
// It knows nothing about HTTP routes, pages or passwords. Callers use verbs
// ([Session.PrepareLogIn], [Session.LogOut], [Session.Flash] …) and never see a key. It is
// built on scs and a [store.Store].
//
// The files follow the life of a session: manager.go finds it, session.go changes
// it, commit.go stores the changes, login.go starts one for a person, devices.go
// lists and revokes sessions.
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
	// ErrUnavailable: the store did not answer in time or refused. It logs no one
	// out.
	ErrUnavailable = errors.New("session store unavailable")
	// ErrNotRecorded: a session has been revoked, and neither the database nor the
	// queue could record it. If the session store is restored from older data, the
	// session is valid again. Revoking it again retries.
	ErrNotRecorded = errors.New("session revocation could not be recorded")
	// ErrEnded: the session was revoked or expired during this request, and the
	// request's changes to it were not stored.
	ErrEnded = errors.New("session has ended")
	// ErrFlashTaken: a flash on the page just rendered was shown by a parallel
	// request. The page has to be rendered again.
	ErrFlashTaken = errors.New("flash was already shown")
	// ErrBadKey, ErrBadValue and ErrFull are about values that a person stores at
	// /session.
	ErrBadKey   = errors.New("key must have 1 to 64 characters, none of them a control character")
	ErrBadValue = errors.New("value must have at most 1,024 bytes of text")
	ErrFull     = errors.New("session is full")
)

// Limits of the values a person may store in a session. They keep a record small
// enough to be read on every request.
const (
	MaxKeyRunes   = 64
	MaxValueBytes = 1024
	MaxValues     = 100
	maxTotalBytes = 16 << 10
)

// Session is one request's view of the sender's session. [Manager.Load] creates it,
// its methods change it, and [Manager.Commit] stores it when the request has
// succeeded: a request that fails has changed nothing. It must be used by one
// goroutine only.
type Session struct {
	manager *Manager
	request context.Context // of the request
	scs     context.Context // request with scs's data of this session
	token   string          // sent with the request, if it is well-formed
	reason  Reason          // why the sender is not logged in; "" for a member
	trace   *Trace          // nil unless the request is observed
	address string          // see SentFrom

	base   Record // as it was read; empty for a guest without a session
	record Record // as this request leaves it

	changed    bool         // record differs from base
	loggedOut  bool         // LogOut was called
	also       []string     // keys of the other sessions that LogOut revokes
	login      *text.Sender // PrepareLogIn was called, from there
	replaced   RevokeReason // see ReplacedBy
	flashTaken bool         // a flash this request took was already taken elsewhere

	dropped                  bool // DropCookie was called
	committed, cookieWritten bool
}

// Member returns the person this session belongs to; ok is false for a guest.
func (s *Session) Member() (member Member, ok bool) {
	if s.record.Member == nil {
		return Member{}, false
	}
	return *s.record.Member, true
}

// Stored reports whether the request's token has a stored session.
func (s *Session) Stored() bool { return s.base.raw != nil }

// Times are the moments in a session's life.
type Times struct{ Created, LastSeen, IdleExpires, Expires time.Time }

// Times returns the moments in this session's life.
func (s *Session) Times() Times {
	return Times{s.record.CreatedAt, s.record.LastSeenAt, s.manager.cfg.Limits.IdleExpiresAt(s.record), s.record.ExpiresAt}
}

// LogOut revokes this session, and those of other tokens that the browser sent: if
// it sent several cookies of the same name, the server cannot know which one is
// current. They are deleted from the store when [Manager.Commit] returns nil, and
// the browser's cookie is cleared.
func (s *Session) LogOut(tokens ...string) {
	s.loggedOut = true
	for _, token := range tokens {
		if token != s.token && WellFormed(token) {
			s.also = append(s.also, Key(token))
		}
	}
}

// DropCookie clears the browser's cookie and leaves the session: for a browser that
// sent several cookies of the same name.
func (s *Session) DropCookie() { s.dropped = true }

// LoggedOut reports whether LogOut was called in this request.
func (s *Session) LoggedOut() bool { return s.loggedOut }

// Flash adds a message that the next page shows once, unless the same one waits already.
func (s *Session) Flash(message string) {
	if slices.ContainsFunc(s.record.Flashes, func(f Flash) bool { return f.Text == message }) {
		return
	}
	s.record.Flashes = append(slices.Clone(s.record.Flashes), Flash{ID: newID(), Text: message})
	s.changed = true
}

// TakeFlashes returns the messages waiting for this page and removes them.
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

// Values returns a copy of the values that the person stored in this session.
func (s *Session) Values() map[string]string { return maps.Clone(s.record.Values) }

// Set stores a value in the session. Errors: ErrBadKey, ErrBadValue, ErrFull.
func (s *Session) Set(key, value string) error {
	if n := utf8.RuneCountInString(key); n < 1 || n > MaxKeyRunes || !text.Plain(key) {
		return ErrBadKey
	}
	if len(value) > MaxValueBytes || !text.Plain(value) {
		return ErrBadValue
	}
	values := map[string]string{}
	maps.Copy(values, s.record.Values)
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

// Remove deletes a value from the session. It does nothing if there is none.
func (s *Session) Remove(key string) {
	if _, had := s.record.Values[key]; !had {
		return
	}
	values := maps.Clone(s.record.Values)
	delete(values, key)
	s.record.Values, s.changed = values, true
}
