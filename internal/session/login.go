package session

import (
	"cmp"
	"errors"
	"fmt"

	"holdfast/internal/text"
)

// PrepareLogIn makes [Manager.Commit] start a session of member, with a new token and new
// deadlines (OWASP Session Management, "Renew the Session ID After Any Privilege Level
// Change"). A guest's values are kept; another person's are not. The previous session is
// revoked.
func (s *Session) PrepareLogIn(member Member, from text.Sender) {
	now := s.manager.cfg.Now()
	record := Record{CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(s.manager.cfg.Limits.lifetime(member.Remember))}
	if before, ok := s.Member(); !ok || before.ID == member.ID {
		record.Values, record.Flashes = s.record.Values, s.record.Flashes
	}
	member.Start = s.manager.cfg.Start
	record.Member = &member
	s.record, s.login = record, &from
}

// ReplacedBy says why the login replaces the previous session, where that was no login
// of its own.
func (s *Session) ReplacedBy(why RevokeReason) { s.replaced = why }

// commitLogIn completes a login. The order of its steps makes a failure at any of
// them harmless: the old session lives until the last step, the new token is given
// to no one, and nothing is stored that cannot be listed and revoked.
func (m *Manager) commitLogIn(s *Session) error {
	ctx := s.request
	old := *s // the session from before, which stays as it is until step 5
	var err error
	if s.scs, err = m.scs.Load(ctx, ""); err != nil {
		return fmt.Errorf("start session: %w", err)
	}
	s.base = Record{}
	s.record.Member.Device = newID()

	// Only now is the new key known: it is that of the token scs generates.
	if err := m.scs.RenewToken(s.scs); err != nil {
		return fmt.Errorf("create token: %w", err)
	}

	// 1. The row in the list of devices, unless the person may not log in.
	if err := m.cfg.Devices.Insert(ctx, s.device()); err != nil {
		return fmt.Errorf("insert device: %w", err)
	}
	if err = m.finishLogIn(s, old); err == nil {
		return nil
	}
	// Roll back. While the record may be stored, the row stays, so that the session
	// can be revoked; the row has no effect until it is confirmed.
	if undo := m.cfg.Store.Delete(ctx, s.Key()); undo != nil {
		m.cfg.Log.WarnContext(ctx, "failed login not rolled back: session record not deleted", "cause", undo)
		return err
	}
	// Its token was given to no one, so it cannot log anyone in at a restored store:
	// if the revocation is not recorded, the row that is left has no effect.
	if undo := m.persistRevocation(ctx, []string{s.Key()}, []string{s.Key()}, RevokedByTime); undo != nil {
		m.cfg.Log.WarnContext(ctx, "failed login not rolled back: device row not revoked", "cause", undo)
	}
	return err
}

func (m *Manager) finishLogIn(s *Session, old Session) error {
	ctx, id := s.request, s.record.Member.Device

	// 2. The record, under the new token.
	if err := m.write(s); err != nil {
		return err
	}

	// 3. The row is in effect from here on, unless it has ended in the meantime.
	name, err := m.cfg.Devices.Confirm(ctx, id)
	if err != nil {
		return fmt.Errorf("confirm login: %w", err)
	}

	// 4. A name that changed in the meantime, and the limit of sessions.
	ended, err := m.makeRoom(ctx, s.record.Member.ID, id)
	if err != nil {
		return fmt.Errorf("enforce session limit: %w", err)
	}
	if ended > 0 {
		s.Flash(fmt.Sprintf("You can be logged in on up to %d devices at once, so the oldest one was logged out.", MaxLive))
	}
	if name != s.record.Member.Name || ended > 0 {
		s.record = s.record.clone()
		s.record.Member.Name = name
		if err := m.write(s); err != nil {
			return err
		}
	}

	// 5. The previous session is revoked.
	if old.token == "" {
		return nil
	}
	if err := m.replace(s, old); err != nil {
		return err
	}
	if old.base.Member != nil {
		key := []string{Key(old.token)}
		return m.persistRevocation(ctx, key, key, cmp.Or(s.replaced, RevokedByLogIn))
	}
	return nil
}

// device returns the row of the session that a login starts.
func (s *Session) device() Device {
	from := s.login.Cut()
	return Device{
		ID:         s.record.Member.Device,
		PersonID:   s.record.Member.ID,
		SessionKey: s.Key(),
		UserAgent:  from.UserAgent,
		Address:    from.Address,
		Remembered: s.record.Member.Remember,
		CreatedAt:  s.record.CreatedAt,
		ExpiresAt:  s.record.ExpiresAt,
	}
}

// replace deletes the previous session. Changes that other requests made to it
// since it was read are merged into the new one first, unless it was another
// person's.
func (m *Manager) replace(s *Session, old Session) error {
	const doing = "revoke previous session"
	key, base := Key(old.token), old.base
	if base.raw == nil { // it could not be read, or is not there
		return unavailable(doing, m.cfg.Store.Delete(s.request, key))
	}
	err := retry(func() error {
		return unavailable(doing, m.cfg.Store.CompareAndSwap(s.request, key, base.raw, nil, 0))
	}, func() error {
		theirs, err := m.read(s.request, key)
		if err != nil {
			return err
		}
		before, member := base, s.record.Member
		base = theirs
		if theirs.Member != nil && theirs.Member.ID != member.ID {
			return nil
		}
		s.record, _ = merge(before, theirs, s.record)
		s.record.Member = member
		return m.write(s)
	})
	if errors.Is(err, ErrEnded) {
		return nil // it has ended already; the login does not depend on it
	}
	return err
}
