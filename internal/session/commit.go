package session

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Commit stores what the request changed in s, if anything. It is called after
// the page is made and before its first byte is sent, and only for a request
// that succeeded. A page that tells what was stored calls it earlier; then
// nothing is stored after that. On any error nothing was changed, no cookie may
// be written and the page must not be sent.
// Errors: ErrUnavailable, ErrEnded, ErrNoticeTaken, and ErrFull when parallel
// requests together put in more than fits.
func (m *Manager) Commit(s *Session) error {
	if s.committed {
		return nil
	}
	before := s.noteBefore()
	if err := m.commit(s); err != nil {
		return err
	}
	s.committed = true
	if s.trace != nil {
		s.trace.Add(s.described(before))
	}
	return nil
}

func (m *Manager) commit(s *Session) error {
	switch {
	case s.loggedOut:
		return m.commitLogOut(s)
	case s.fresh != notFresh:
		return m.commitFresh(s)
	case s.changed && (s.stored || !s.record.empty()):
		return m.commitChange(s)
	case s.stored && m.now().Sub(s.record.Seen) >= m.limits.touchEvery():
		return m.commitTouch(s)
	}
	return nil
}

func (m *Manager) commitChange(s *Session) error {
	before := m.scs.Token(s.ctx)
	if err := m.write(s); err != nil {
		return err
	}
	if before == "" {
		s.cookie = cookieSet
	}
	if visitFrom(s.ctx).noticeTaken {
		return ErrNoticeTaken
	}
	return nil
}

// commitTouch writes down that the session was used. A page that only looked
// does not fail for it: a full store still greets, and an ended session's last
// page was asked for while it stood.
func (m *Manager) commitTouch(s *Session) error {
	if err := m.write(s); err != nil {
		m.log.WarnContext(s.ctx, "last use of a session not written down", "cause", err)
		s.touchFailed = err
	}
	return nil
}

func (m *Manager) commitLogOut(s *Session) error {
	if token := m.scs.Token(s.ctx); token != "" {
		if err := m.guard.cells.remove(s.ctx, hashToken(token)); err != nil {
			return fmt.Errorf("end session: %w", unavailable(err))
		}
	}
	if member, ok := s.Member(); ok {
		m.endRenewals(s.ctx, member)
	}
	s.cookie = cookieCleared
	return nil
}

// endRenewals notes the log-out in the ledger, and ends the session under the
// new token that a parallel request may have given it. Should the ledger not
// answer, no renewal is under way either, and the entry heals to expired.
func (m *Manager) endRenewals(ctx context.Context, member Member) {
	_, err := m.endWhere(ctx, member.ID, EndedByLogOut, func(e Entry) bool { return sameLogIn(e.ID, member.Device) })
	if err != nil {
		m.log.WarnContext(ctx, "log-out not noted", "cause", err)
	}
}

// markEnded notes in the ledger how a session ended that the store no longer
// has. Should it fail, the entry heals to expired.
func (m *Manager) markEnded(ctx context.Context, id string, how Ending) {
	if err := m.ledger.End(ctx, []string{id}, how, m.now()); err != nil {
		m.log.WarnContext(ctx, "end of a session not noted", "how", how, "cause", err)
	}
}

// write hands the record to scs, which encodes it and asks the guard.
func (m *Manager) write(s *Session) error {
	now := m.now()
	if now.After(s.record.Seen) {
		s.record.Seen = now
	}
	visitFrom(s.ctx).ttl = m.limits.idleEnd(s.record).Sub(now)
	m.scs.SetDeadline(s.ctx, s.record.Deadline)
	m.scs.Put(s.ctx, recordKey, s.record)
	if _, _, err := m.scs.Commit(s.ctx); err != nil {
		return fmt.Errorf("store session: %w", unavailable(err))
	}
	return nil
}

// WriteCookie adds to header w what [Manager.Commit] has decided: a new
// session's cookie, a cleared one, or nothing. It does so once.
func (m *Manager) WriteCookie(w http.ResponseWriter, s *Session) {
	if s.cookieDone {
		return
	}
	s.cookieDone = true
	switch s.cookie {
	case cookieSet:
		if member, ok := s.Member(); ok && member.Remember {
			m.scs.RememberMe(s.ctx, true)
		}
		m.scs.WriteSessionCookie(s.ctx, w, m.scs.Token(s.ctx), s.record.Deadline)
	case cookieCleared:
		m.scs.WriteSessionCookie(s.ctx, w, "", time.Time{})
	case cookieKept:
	}
}
