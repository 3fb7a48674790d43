// Package throttle limits the rate of attempts: it owns what is counted, how long the
// next attempt has to wait, and when old attempts no longer count. The counts are in a
// store that all instances share. It must not know about HTTP or SQL, or what is
// attempted.
package throttle

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Rule says how attempts of one kind are limited.
type Rule struct {
	// Name is a prefix of the subject, so that no two rules share a count.
	Name string
	// Burst is how many attempts do not have to wait.
	Burst int
	// First is the wait after the last free attempt. Each further wait is twice as
	// long, up to Most.
	First, Most time.Duration
	// Memory is how long after the latest attempt all attempts are forgotten.
	Memory time.Duration
}

// Wait returns how long the next attempt has to wait after the attempt with this
// number, counted from 1.
func (r Rule) Wait(tries int) time.Duration {
	if tries < r.Burst {
		return 0
	}
	wait := r.First
	for n := r.Burst; n < tries && wait < r.Most; n++ {
		wait *= 2
	}
	return min(wait, r.Most)
}

// Key identifies a count: a rule and a subject.
type Key struct {
	Rule    Rule
	Subject string
}

func (k Key) name() string { return k.Rule.Name + ":" + k.Subject }

// State is what is stored under a key. The zero State means that the key is not stored.
type State struct {
	Tries int
	Next  time.Time // when the next attempt is allowed
	Last  time.Time // when the latest attempt was allowed
}

// Store keeps states, to the millisecond. Each method is atomic across all instances
// and returns the store's own errors.
type Store interface {
	// Find returns the state of a key, and the time by the store's clock, which all
	// instances share.
	Find(ctx context.Context, key string) (found State, now time.Time, err error)
	// Swap replaces the state that was found, if it has not changed, and reports
	// whether it did. The zero State removes the key.
	Swap(ctx context.Context, key string, found, next State) (swapped bool, err error)
	// Remove removes a key.
	Remove(ctx context.Context, key string) error
}

// RetryAfterError is the error for an attempt that comes too early.
type RetryAfterError struct {
	Rule string // the name of the rule
	Wait time.Duration
}

func (h *RetryAfterError) Error() string {
	return fmt.Sprintf("too many tries: the next one is let through in %s", h.Wait.Round(time.Second))
}

// Limiter limits attempts. A nil Limiter allows all of them. It is safe for concurrent
// use.
type Limiter struct {
	store Store
	now   func() time.Time
}

// New returns a limiter that uses a store. now, if set, replaces the store's clock.
func New(store Store, now func() time.Time) *Limiter { return &Limiter{store: store, now: now} }

// maxSwaps limits how often an attempt is counted again because another one was counted
// at the same time. Each of those was allowed, so no more of them can come first than a
// rule has free attempts.
const maxSwaps = 200

// Take counts an attempt under every key before it is made, or returns a
// *[RetryAfterError] and counts it under none. It allows no more concurrent attempts
// than consecutive ones. Other errors are the store's.
func (l *Limiter) Take(ctx context.Context, keys ...Key) error {
	if l == nil {
		return nil
	}
	for i, key := range keys {
		if err := l.take(ctx, key); err != nil {
			for _, taken := range keys[:i] {
				if back := l.Refund(ctx, taken); back != nil {
					return errors.Join(err, back)
				}
			}
			return err
		}
	}
	return nil
}

func (l *Limiter) take(ctx context.Context, key Key) error {
	for range maxSwaps {
		found, now, err := l.store.Find(ctx, key.name())
		if err != nil {
			return err
		}
		if l.now != nil {
			now = l.now().UTC().Truncate(time.Millisecond)
		}
		tries := found.Tries
		switch {
		// If the latest attempt is further in the future than any wait, the clock has
		// since been set back. Do not make anyone wait until it catches up.
		case now.Sub(found.Last) >= key.Rule.Memory, found.Last.Sub(now) > key.Rule.Most:
			tries = 0
		case now.Before(found.Next):
			return &RetryAfterError{key.Rule.Name, found.Next.Sub(now)}
		}
		next := State{Tries: tries + 1, Next: now.Add(key.Rule.Wait(tries + 1)), Last: now}
		swapped, err := l.store.Swap(ctx, key.name(), found, next)
		if err != nil || swapped {
			return err
		}
	}
	return &RetryAfterError{key.Rule.Name, max(key.Rule.First, time.Second)}
}

// Refund removes one attempt that turned out not to count.
func (l *Limiter) Refund(ctx context.Context, key Key) error {
	if l == nil {
		return nil
	}
	for range maxSwaps {
		found, _, err := l.store.Find(ctx, key.name())
		if err != nil || found.Tries == 0 {
			return err
		}
		var next State
		if tries := found.Tries - 1; tries > 0 {
			// The time of the attempt before is unknown, so its wait is counted from
			// the latest one.
			next = State{Tries: tries, Next: found.Last.Add(key.Rule.Wait(tries)), Last: found.Last}
		}
		swapped, err := l.store.Swap(ctx, key.name(), found, next)
		if err != nil || swapped {
			return err
		}
	}
	return nil // under constant change, one attempt more or less does not matter
}

// Clear removes all attempts under a key, after a successful one.
func (l *Limiter) Clear(ctx context.Context, key Key) error {
	if l == nil {
		return nil
	}
	return l.store.Remove(ctx, key.name())
}

// networkBits is how much of an IPv6 address distinguishes senders: a sender with one
// address has the whole /64 (RFC 6177).
const networkBits = 64

// Network returns the subject under which an address is counted: the address itself, or
// its /64 for IPv6.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return "unknown"
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, networkBits).Masked().String()
}
