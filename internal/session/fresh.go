package session

import (
	"fmt"
)

// commitFresh stores a session under a new token, for a log-in or a renewal.
// It writes the ledger, then the new session, and ends the old one last, so
// that a failure anywhere in between leaves the old session as it was, nothing
// that anybody could log in with, and nothing that cannot be listed and ended.
func (m *Manager) commitFresh(s *Session) error {
	oldToken, oldVisit := m.scs.Token(s.ctx), visitFrom(s.ctx)
	if err := m.begin(s); err != nil {
		return err
	}
	// On a session without a token this makes one and does nothing else.
	if err := m.scs.RenewToken(s.ctx); err != nil {
		return fmt.Errorf("make token: %w", err)
	}
	entry := s.entry(hashToken(m.scs.Token(s.ctx)))
	s.record.Member.Device = entry.ID
	if err := m.establish(s, entry); err != nil {
		return m.undo(s, entry, err)
	}
	if oldToken == "" {
		s.cookie = cookieSet
		return nil
	}
	err := m.retire(s, hashToken(oldToken), oldVisit.found)
	if s.fresh == freshLogIn && isEnded(err) {
		err = nil // the old session ended meanwhile; this log-in does not rest on it
	}
	if err != nil {
		return m.undo(s, entry, err)
	}
	if s.replaced != "" {
		m.markEnded(s.ctx, s.replaced, s.fresh.ending())
	}
	s.cookie = cookieSet
	return nil
}

// establish writes the log-in down, makes room, stores the session, and makes
// sure that nobody ended it before it stood.
func (m *Manager) establish(s *Session, entry Entry) error {
	if err := m.ledger.Open(s.ctx, entry); err != nil {
		return fmt.Errorf("write the log-in down: %w", err)
	}
	ended, err := m.trim(s.ctx, entry)
	if err != nil {
		return fmt.Errorf("make room for the log-in: %w", err)
	}
	if ended > 0 {
		s.Flash(fmt.Sprintf("You can be logged in %d times at once. The oldest session was ended.", MaxLive))
	}
	if err := m.write(s); err != nil {
		return err
	}
	standing, err := m.ledger.Standing(s.ctx, entry.ID)
	if err != nil {
		return fmt.Errorf("confirm the log-in: %w", err)
	}
	if !standing {
		return ErrEnded
	}
	return nil
}

// undo takes back what commitFresh has begun. Nobody was given the token; but
// as long as its record may stand, the entry stays, so that it can be ended.
func (m *Manager) undo(s *Session, entry Entry, cause error) error {
	if err := m.guard.cells.remove(s.outer, entry.Key); err != nil {
		m.log.WarnContext(s.outer, "failed log-in not taken back", "cause", err)
		return cause
	}
	m.markEnded(s.outer, entry.ID, EndedByTime)
	return cause
}

// retire ends the session from before. Values that other requests put into it
// meanwhile are carried over. ErrEnded: it had ended already.
func (m *Manager) retire(s *Session, oldKey string, found []byte) error {
	for range maxOverlays {
		changed, err := m.guard.retire(s.ctx, oldKey, found)
		if err != nil {
			return fmt.Errorf("end the session from before: %w", unavailable(err))
		}
		if changed == nil {
			return nil
		}
		if err := m.carryOver(s, found, changed); err != nil {
			return err
		}
		found = changed
	}
	return fmt.Errorf("end the session from before: %w: %w", ErrUnavailable, errOutrun)
}

// carryOver brings what changed in the old session since it was found into the
// new one, unless it was another person's.
func (m *Manager) carryOver(s *Session, found, changed []byte) error {
	before, err := decodeRecord(found)
	if err != nil {
		return err
	}
	after, err := decodeRecord(changed)
	if err != nil {
		return err
	}
	if after.Member != nil && after.Member.ID != s.record.Member.ID {
		return nil
	}
	member := s.record.Member
	s.record, _ = overlay(before, after, s.record)
	s.record.Member = member
	visitFrom(s.ctx).found = visitFrom(s.ctx).stored
	return m.write(s)
}
