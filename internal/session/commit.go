package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"holdfast/internal/session/store"
)

// Commit stores what the request changed in s, if anything. It is called after
// the page is made and before its first byte is sent, and only for a request
// that succeeded. A page that tells what was stored calls it earlier; then
// nothing is stored after that. On any error no cookie may be written and the
// page must not be sent.
// Errors: ErrUnavailable, ErrEnded, ErrFlashTaken, and ErrFull when parallel
// requests together put in more than fits.
func (m *Manager) Commit(s *Session) error {
	if s.committed {
		return nil
	}
	o := Outcome{Act: Looked, Before: s.base, After: s.record, TouchEvery: m.limits.touchEvery()}
	oldToken := m.scs.Token(s.scs)
	var err error
	switch {
	case s.loggedOut:
		o.Act = Ended
		err = m.commitLogOut(s)
	case s.login != nil:
		o.Act = LoggedIn
		err = m.commitLogIn(s)
	case s.changed && (s.Stored() || !s.record.empty()):
		o.Act = Stored
		err = m.commitChange(s)
	case !s.Stored():
		o.Act = Nobody
	case m.now().Sub(s.record.LastSeenAt) >= m.limits.touchEvery():
		// A page that only looked does not fail when its use cannot be noted: a
		// full store still greets, and an ended session's last page was asked
		// for while it lived.
		if o.TouchErr = m.write(s); o.TouchErr != nil {
			m.log.WarnContext(s.request, "session last-seen time not updated", "cause", o.TouchErr)
		} else {
			o.Act = Touched
		}
	}
	if err != nil {
		return err
	}
	s.committed = true
	if s.trace != nil {
		o.LastSeenAt, o.OldKey = s.record.LastSeenAt, keyOf(oldToken)
		if o.Act != Ended {
			o.Key = s.Key()
		}
		s.trace.Committed(o)
	}
	return nil
}

func (m *Manager) commitChange(s *Session) error {
	isNew := !s.Stored()
	if err := m.write(s); err != nil {
		return err
	}
	if isNew {
		s.cookie = cookieSet
	}
	if s.flashTaken {
		return ErrFlashTaken
	}
	return nil
}

// commitLogOut removes the session first, where it counts, and then marks its
// row. What the token leads to is removed whether or not it could be read; and
// where nothing was there, the row is marked all the same: a log-out before may
// have got no further.
func (m *Manager) commitLogOut(s *Session) error {
	keys := s.also
	if s.token != "" {
		keys = append(keys, Key(s.token))
	}
	if len(keys) > 0 {
		if err := m.store.Delete(s.request, keys...); err != nil {
			return fmt.Errorf("end session: %w", unavailable(err))
		}
	}
	if s.Stored() && s.base.Member == nil {
		keys = s.also // a guest's session is no device
	}
	if len(keys) > 0 {
		if err := m.persistRevocation(s.request, keys, EndedByLogOut); err != nil {
			return err
		}
	}
	s.cookie = cookieCleared
	return nil
}

// Bounds of the tries to write a record that other requests keep changing: with
// a pause at random up to the longest one between two, some two seconds.
const (
	maxTries     = 64
	longestPause = 64 * time.Millisecond
)

// errConflicts: the record was changed by others before each of maxTries tries.
var errConflicts = errors.New("other requests kept changing this session")

// retry makes a conditional write, and after a conflict reloads and makes it
// again, at most maxTries times.
func retry(write, reload func() error) error {
	for try := range maxTries {
		err := write()
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if try > 0 { // the first conflict is one quick request; more are a crowd
			time.Sleep(rand.N(min(time.Millisecond<<min(try, 10), longestPause)))
		}
		if err := reload(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, errConflicts)
}

// write stores s.record where s.base still is; a new session only where nothing
// is. Where another request has stored something else since, the changes of
// this one are merged into that.
// Errors: ErrEnded where nothing is stored any more: a session that has ended is
// never written again; ErrFull, ErrUnavailable.
func (m *Manager) write(s *Session) error {
	return retry(func() error { return m.writeOnce(s) }, func() error { return m.mergeStored(s) })
}

func (m *Manager) writeOnce(s *Session) error {
	now := m.now()
	if now.After(s.record.LastSeenAt) {
		s.record.LastSeenAt = now
	}
	expires := m.limits.IdleExpiresAt(s.record)
	if !now.Before(expires) {
		return ErrEnded
	}
	if m.scs.Token(s.scs) == "" {
		// Without a token this makes one and does nothing else.
		if err := m.scs.RenewToken(s.scs); err != nil {
			return fmt.Errorf("make token: %w", err)
		}
	}
	raw, err := encodeRecord(s.Key(), s.record)
	if err != nil {
		return fmt.Errorf("encode session: %w", err)
	}
	m.scs.Put(s.scs, recordKey, change{old: s.base.raw, new: raw})
	m.scs.SetDeadline(s.scs, expires) // the key's time to live
	if _, _, err := m.scs.Commit(s.scs); err != nil {
		return fmt.Errorf("store session: %w", unavailable(err))
	}
	s.record.raw = raw
	s.base = s.record
	return nil
}

// mergeStored reads what another request has stored, and merges the changes of
// this one into it.
func (m *Manager) mergeStored(s *Session) error {
	if !s.Stored() {
		return fmt.Errorf("%w: a new token is already in use", ErrUnavailable)
	}
	theirs, err := m.read(s.request, s.Key())
	if err != nil {
		return err
	}
	merged, taken := merge(s.base, s.record, theirs)
	if !fit(merged.Values) && fit(theirs.Values) {
		return ErrFull // each alone had room for its value
	}
	s.base, s.record = theirs, merged
	s.flashTaken = s.flashTaken || taken
	return nil
}

// read returns the record under key. Errors: ErrEnded when there is none,
// ErrUnavailable.
func (m *Manager) read(ctx context.Context, key string) (Record, error) {
	raw, err := m.store.Get(ctx, key)
	if err != nil {
		return Record{}, fmt.Errorf("read session: %w", unavailable(err))
	}
	if raw == nil {
		return Record{}, ErrEnded
	}
	record, err := DecodeRecord(raw)
	if err != nil {
		return Record{}, fmt.Errorf("read session: %w", unavailable(err))
	}
	return record, nil
}

// WriteCookie adds to header w what [Manager.Commit] has decided: a new
// session's cookie, a cleared one, or nothing. It does so once.
func (m *Manager) WriteCookie(w http.ResponseWriter, s *Session) {
	if s.cookieWritten {
		return
	}
	s.cookieWritten = true
	switch s.cookie {
	case cookieSet:
		m.setCookie(w, s, m.scs.Token(s.scs))
	case cookieCleared:
		m.scs.WriteSessionCookie(s.scs, w, "", time.Time{})
	case cookieKept:
	}
}

func (m *Manager) setCookie(w http.ResponseWriter, s *Session, token string) {
	if member, ok := s.Member(); ok && member.Remember {
		m.scs.RememberMe(s.scs, true)
	}
	m.scs.WriteSessionCookie(s.scs, w, token, s.record.ExpiresAt)
}
