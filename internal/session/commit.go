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

// Commit stores the request's changes to s, if any. Call it after the page is
// rendered and before its first byte is sent, and only for a request that
// succeeded. A page that shows what was stored calls it earlier; nothing is stored
// after that. After an error, no cookie may be written and the page must not be
// sent. Errors: ErrUnavailable, ErrEnded, ErrFlashTaken, ErrFull if parallel
// requests together stored more than fits, and *[throttle.RetryAfterError] for a guest:
// nothing was changed, and s is as it was read.
func (m *Manager) Commit(s *Session) error {
	if s.committed {
		return nil
	}
	o := Outcome{Act: Looked, Before: s.base, After: s.record, TouchEvery: m.touchEvery}
	oldToken, stored := m.scs.Token(s.scs), s.base.raw != nil
	var err error
	switch {
	case s.loggedOut:
		o.Act = Ended
		err = m.commitLogOut(s)
	case s.login != nil:
		o.Act = LoggedIn
		err = m.commitLogIn(s)
	case s.changed && (stored || !s.record.empty()):
		o.Act = Stored
		if err = m.chargeGuest(s); err == nil {
			err = m.write(s)
		}
		if err == nil && s.flashTaken {
			err = ErrFlashTaken
		}
	case !stored:
		o.Act = NoSession
	case m.cfg.Now().Sub(s.record.LastSeenAt) >= m.touchEvery:
		// A request that changes nothing does not fail if its use cannot be stored:
		// a full store still greets, and the last page of a session was requested
		// before it was revoked.
		if o.TouchErr = m.write(s); o.TouchErr != nil {
			m.cfg.Log.WarnContext(s.request, "session last-seen time not updated", "cause", o.TouchErr)
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

// commitLogOut deletes the session first, which takes effect immediately, and then
// marks its row. It deletes the token's session even if the record could not be
// read. It marks the row even if there was no session: an earlier logout may have
// stopped before that. But such a key is not queued: anyone can invent it.
func (m *Manager) commitLogOut(s *Session) error {
	keys, known := s.also, []string{}
	for _, key := range s.also {
		raw, err := m.cfg.Store.Get(s.request, key)
		if err != nil {
			return unavailable("read session", err)
		}
		if raw != nil {
			known = append(known, key)
		}
	}
	if s.token != "" {
		keys = append(keys, Key(s.token))
	}
	if len(keys) > 0 {
		if err := m.cfg.Store.Delete(s.request, keys...); err != nil {
			return unavailable("revoke session", err)
		}
	}
	switch {
	case s.Stored() && s.base.Member == nil:
		keys = s.also // a guest's session is no device
	case s.token != "" && s.reason != NotFound:
		known = append(known, Key(s.token))
	}
	if len(keys) == 0 {
		return nil
	}
	return m.persistRevocation(s.request, keys, known, RevokedByLogOut)
}

// Bounds of the attempts to write a record that other requests keep changing: about
// two seconds, with a random pause of up to longestPause between two attempts.
const (
	maxTries     = 64
	longestPause = 64 * time.Millisecond
)

// errConflicts: other requests changed the record before each of maxTries attempts.
var errConflicts = errors.New("too many concurrent changes to this session")

// retry makes a conditional write. After a conflict it reloads and tries again, at
// most maxTries times.
func retry(write, reload func() error) error {
	for try := range maxTries {
		err := write()
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if try > 0 { // the first conflict is one fast request; more are many requests
			time.Sleep(rand.N(min(time.Millisecond<<min(try, 10), longestPause)))
		}
		if err := reload(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, errConflicts)
}

// write stores s.record if s.base is still stored, or if nothing is stored for a
// new session. If another request has stored something else in the meantime, this
// request's changes are merged into that. Errors: ErrEnded if nothing is stored any
// more, because a revoked session is never written again; ErrFull, ErrUnavailable.
func (m *Manager) write(s *Session) error {
	return retry(func() error { return m.writeOnce(s) }, func() error { return m.mergeStored(s) })
}

func (m *Manager) writeOnce(s *Session) error {
	now := m.cfg.Now()
	if now.After(s.record.LastSeenAt) {
		s.record.LastSeenAt = now
	}
	expires := m.cfg.Limits.IdleExpiresAt(s.record)
	if !now.Before(expires) {
		return ErrEnded
	}
	if m.scs.Token(s.scs) == "" {
		// Without a token this generates one and does nothing else.
		if err := m.scs.RenewToken(s.scs); err != nil {
			return fmt.Errorf("create token: %w", err)
		}
	}
	raw, err := EncodeRecord(s.Key(), s.record)
	if err != nil {
		return fmt.Errorf("encode session: %w", err)
	}
	m.scs.Put(s.scs, recordKey, raw)
	m.scs.SetDeadline(s.scs, expires) // the key's TTL
	if _, _, err := m.scs.Commit(context.WithValue(s.scs, expectedKey{}, s.base.raw)); err != nil {
		return unavailable("store session", err)
	}
	s.record.raw = raw
	s.base = s.record
	return nil
}

// mergeStored reads what another request has stored and merges this request's
// changes into it.
func (m *Manager) mergeStored(s *Session) error {
	if !s.Stored() {
		return fmt.Errorf("%w: new session token already exists", ErrUnavailable)
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
	raw, err := m.cfg.Store.Get(ctx, key)
	if err != nil {
		return Record{}, unavailable("read session", err)
	}
	if raw == nil {
		return Record{}, ErrEnded
	}
	record, err := DecodeRecord(raw)
	return record, unavailable("read session", err)
}

// WriteCookie adds to the header of w what [Manager.Commit] has decided: the cookie
// of a new session, a cleared one, or nothing. It does so once.
func (m *Manager) WriteCookie(w http.ResponseWriter, s *Session) {
	if !s.committed || s.cookieWritten {
		return
	}
	s.cookieWritten = true
	token := m.scs.Token(s.scs)
	switch isNew := token != s.token && s.Stored(); {
	case isNew && !s.loggedOut:
		member, _ := s.Member()
		m.scs.RememberMe(s.scs, member.Remember)
		m.scs.WriteSessionCookie(s.scs, w, token, s.record.ExpiresAt)
	case s.loggedOut, s.dropped:
		m.scs.WriteSessionCookie(s.scs, w, "", time.Time{})
	}
}
