package session

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"holdfast/internal/session/store"
	"holdfast/internal/text"
	"holdfast/internal/throttle"
)

// Anyone can store values as a guest, so what guests store is counted by the address
// they send from. The count is in the session store: all instances share it, and no
// store fills with what another one should have counted.
const (
	guestWindow = time.Hour
	// guestOverhead is about what a store keeps of a session beside its record: the
	// key, its TTL and their places in the store's own tables, in bytes.
	guestOverhead = 256
)

// SentFrom sets the IP address that the request came from. What a guest's request
// stores is counted for it.
func (s *Session) SentFrom(address string) { s.address = address }

// chargeGuest counts by how much a guest's record is about to grow. A record that
// shrinks gives nothing back. Errors: *[throttle.RetryAfterError], after which the
// request changes nothing; ErrUnavailable.
func (m *Manager) chargeGuest(s *Session) error {
	limit := m.cfg.Limits.GuestBytes
	if limit == 0 || s.record.Member != nil {
		return nil
	}
	raw, err := EncodeRecord(text.Hash(""), s.record)
	if err != nil {
		return fmt.Errorf("encode session: %w", err)
	}
	grown := len(raw) - len(s.base.raw)
	if !s.Stored() {
		grown += guestOverhead
	}
	if grown <= 0 {
		return nil
	}
	// The count is no part of how a session is recognised, so it is not traced.
	ctx := store.WithTrace(s.request, nil)
	key := store.Counters + text.Hash(throttle.Network(s.address))
	err = retry(func() error { return m.count(ctx, key, grown, limit) }, func() error { return nil })
	if err != nil {
		s.record, s.changed = s.base, false
	}
	return err
}

// count adds bytes to the counter under key, which begins at zero every guestWindow.
func (m *Manager) count(ctx context.Context, key string, bytes, limit int) error {
	stored, err := m.cfg.Store.Get(ctx, key)
	if err != nil {
		return unavailable("read guests' count", err)
	}
	now := m.cfg.Now()
	var used int
	var endsMS int64
	_, _ = fmt.Sscan(string(stored), &used, &endsMS) // what is none begins at zero
	left := time.UnixMilli(endsMS).Sub(now)
	if left <= 0 || left > guestWindow {
		used, left = 0, guestWindow
	}
	if used+bytes > limit {
		return &throttle.RetryAfterError{Rule: "guests", Wait: left}
	}
	// A value that is never written twice, as the store asks.
	next := fmt.Appendf(nil, "%d %d %s", used+bytes, now.Add(left).UnixMilli(), rand.Text())
	return unavailable("count guests' data", m.cfg.Store.CompareAndSwap(ctx, key, stored, next, left))
}
