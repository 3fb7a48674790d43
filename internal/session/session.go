// Package session owns one session's life: how a request's token is recognised,
// how the record behind it is read, changed and stored without losing what
// another request stored and without bringing back what has ended, how it ends,
// and in which store it lies.
//
// It knows nothing of HTTP routes, pages or people's passwords. Callers use
// verbs ([Session.LogIn], [Session.LogOut], [Session.Flash] …) and never see a
// key. Underneath are scs and its stores; docs/decisions says where and why
// this package departs from them.
package session

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"holdfast/internal/learn/trace"
)

// The named failures of this package.
var (
	// ErrUnavailable: the store did not answer in time or refused. Nothing was
	// changed, and nobody is logged out by it.
	ErrUnavailable = errors.New("session store is unavailable")
	// ErrEnded: the session this request began with has ended meanwhile, and
	// what the request wanted to store in it was not stored.
	ErrEnded = errors.New("session has ended")
	// ErrNoticeTaken: a notice on the page just made was shown by a parallel
	// request. The page has to be made again.
	ErrNoticeTaken = errors.New("notice was already shown")
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
	ctx     context.Context // with the scs data and the visit of this session
	outer   context.Context // without them, to begin another session in
	record  Record
	stored  bool // a record stood in the store when the request arrived

	changed   bool   // the record differs from what was found
	fresh     fresh  // whether, and why, to be stored under a new token
	replaced  string // the device whose place a fresh session takes
	from      Sender
	loggedOut bool
	cookie    cookieChange

	sent   string       // the token as it came
	nobody trace.Reason // why it belongs to nobody; "" where a session stood

	committed, cookieDone bool // Commit and WriteCookie have done their part

	trace       *trace.Recorder // nil: nobody watches this request
	touchFailed error           // why the last use could not be noted
}

// Sender is where a log-in comes from, as the list of devices shows it.
type Sender struct{ UserAgent, Address string }

// maxUserAgentBytes is as much of a User-Agent as the ledger keeps.
const maxUserAgentBytes = 400

type fresh int

const (
	notFresh fresh = iota
	freshLogIn
	freshRenewal
)

// ending is how the session ended that a fresh one took the place of.
func (f fresh) ending() Ending {
	if f == freshRenewal {
		return EndedByRenewal
	}
	return EndedByLogIn
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

// Stored reports whether a session stood in the store for this request's token.
func (s *Session) Stored() bool { return s.stored }

// Created, Seen, IdleEnd and Deadline are the times in the session's life.
func (s *Session) Created() time.Time  { return s.record.Created }
func (s *Session) Seen() time.Time     { return s.record.Seen }
func (s *Session) IdleEnd() time.Time  { return s.manager.limits.idleEnd(s.record) }
func (s *Session) Deadline() time.Time { return s.record.Deadline }

// LogIn begins a session of member, with a new token and new deadlines
// (OWASP Session Management, "Renew the Session ID After Any Privilege Level
// Change"). What a guest put in stays; of another person's session nothing
// does. The session from before ends.
func (s *Session) LogIn(member Member, from Sender) {
	now := s.manager.now()
	record := Record{Created: now, Seen: now, Deadline: now.Add(s.manager.limits.lifetime(member.Remember))}
	if before, ok := s.Member(); !ok || before.ID == member.ID {
		record.Values, record.Notices = s.record.Values, s.record.Notices
	}
	member.Start = s.manager.start
	s.replace(freshLogIn, from)
	s.record = record
	s.record.Member = &member
}

// Renew gives this session a new token, for any change of what the person may
// do. Its deadlines stay: only a fresh log-in moves them. A guest's session is
// left alone.
func (s *Session) Renew(from Sender) {
	if s.record.Member == nil {
		return
	}
	s.replace(freshRenewal, from)
	s.record = s.record.clone()
}

func (s *Session) replace(why fresh, from Sender) {
	if member, ok := s.Member(); ok && s.stored {
		s.replaced = member.Device
	}
	s.fresh, s.from = why, from
}

// entry is the line in the ledger for a fresh session with this key.
func (s *Session) entry(key string) Entry {
	id := newID()
	if s.fresh == freshRenewal && s.replaced != "" {
		id = renewalID(s.replaced)
	}
	return Entry{
		ID:         id,
		Person:     s.record.Member.ID,
		Key:        key,
		UserAgent:  cut(s.from.UserAgent, maxUserAgentBytes),
		Address:    s.from.Address,
		Remembered: s.record.Member.Remember,
		Created:    s.record.Created,
		Deadline:   s.record.Deadline,
	}
}

// LogOut ends this session. It is gone from the store when [Manager.Commit]
// returns nil, and the browser's cookie is cleared.
func (s *Session) LogOut() { s.loggedOut = true }

// LoggedOut reports whether LogOut was called in this request.
func (s *Session) LoggedOut() bool { return s.loggedOut }

// Flash leaves a message that the next page shows once.
func (s *Session) Flash(text string) {
	s.record.Notices = append(slices.Clone(s.record.Notices), Notice{ID: newID(), Text: text})
	s.changed = true
}

// TakeNotices returns the messages waiting for this page and takes them away.
func (s *Session) TakeNotices() []string {
	if len(s.record.Notices) == 0 {
		return nil
	}
	var texts []string
	for _, notice := range s.record.Notices {
		texts = append(texts, notice.Text)
	}
	s.record.Notices, s.changed = nil, true
	return texts
}

// Values returns a copy of what the person put into this session.
func (s *Session) Values() map[string]string { return maps.Clone(s.record.Values) }

// Set puts a value into the session. Errors: ErrBadKey, ErrBadValue, ErrFull.
func (s *Session) Set(key, value string) error {
	if n := utf8.RuneCountInString(key); n < 1 || n > MaxKeyRunes || !plain(key) {
		return ErrBadKey
	}
	if len(value) > MaxValueBytes || !plain(value) {
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
	if _, stands := s.record.Values[key]; !stands {
		return
	}
	values := maps.Clone(s.record.Values)
	delete(values, key)
	s.record.Values, s.changed = values, true
}

// plain reports whether text is valid and free of control characters.
func plain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// cut returns at most max bytes of text, and of a header only what is text.
func cut(text string, max int) string {
	text = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, text), "")
	for len(text) > max {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}
