// Package throttle owns how tries are slowed down: what is counted, how long
// the next try has to wait, and since when an old one no longer counts. The
// counts are kept in a store that all instances share. It must not know of HTTP
// nor of SQL, nor what is tried.
package throttle

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Rule says how tries of one kind are slowed.
type Rule struct {
	// Name goes before what is counted, so that no two rules share a count.
	Name string
	// Burst is how many tries wait for nothing.
	Burst int
	// First is the wait after the last free one; each further wait is twice as
	// long, up to Most.
	First, Most time.Duration
	// Memory is how long after the latest try all are forgotten.
	Memory time.Duration
}

// Wait is how long after the try of this number, counted from 1, the next one
// has to wait.
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

// Key is one thing that is counted: by a rule, of whom.
type Key struct {
	Rule    Rule
	Subject string
}

func (k Key) name() string { return k.Rule.Name + ":" + k.Subject }

// State is what is kept under a key. The zero State is that of a key that is
// not kept.
type State struct {
	Tries int
	Next  time.Time // when the next try is let through
	Last  time.Time // when the latest try was let through
}

// Store keeps states, to the millisecond. Each method is one atomic step, seen
// by all instances, and returns the store's own errors.
type Store interface {
	// Find returns the state of a key, and the time by the store's clock, which all
	// instances share.
	Find(ctx context.Context, key string) (found State, now time.Time, err error)
	// Swap puts a state in the place of the one that was found, if that has not
	// changed, and reports whether it did. The zero State forgets the key.
	Swap(ctx context.Context, key string, found, next State) (swapped bool, err error)
	// Remove forgets a key.
	Remove(ctx context.Context, key string) error
}

// RetryAfterError is the error for a try that comes too early.
type RetryAfterError struct {
	Rule string // its name
	Wait time.Duration
}

func (h *RetryAfterError) Error() string {
	return fmt.Sprintf("too many tries: the next one is let through in %s", h.Wait.Round(time.Second))
}

// Limiter slows tries. A nil one lets everything through. It is safe for
// concurrent use.
type Limiter struct {
	store Store
	now   func() time.Time
}

// New returns a limiter over a store. now, if set, replaces the store's clock.
func New(store Store, now func() time.Time) *Limiter { return &Limiter{store: store, now: now} }

// maxSwaps bounds how often a try is counted again because another one was
// counted at the same time. Each of those let one through, so more than all free
// tries of a rule together cannot come in between.
const maxSwaps = 200

// Take counts a try under every key before it is made, or returns a *[RetryAfterError] and
// counts it under none: of any number at the same time no more are let through
// than one after the other would be. Other errors are the store's.
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
		// A try further in the future than any wait is a clock's that was set
		// back since: no one waits until it has caught up.
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

// Refund takes one try back that turned out to be none.
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
			// When the one before was let through is not known: its wait is counted
			// from the latest.
			next = State{Tries: tries, Next: found.Last.Add(key.Rule.Wait(tries)), Last: found.Last}
		}
		swapped, err := l.store.Swap(ctx, key.name(), found, next)
		if err != nil || swapped {
			return err
		}
	}
	return nil // others are taken and given back all the time; one more is none the worse
}

// Clear forgets all tries under a key: the last one was right.
func (l *Limiter) Clear(ctx context.Context, key Key) error {
	if l == nil {
		return nil
	}
	return l.store.Remove(ctx, key.name())
}

// networkBits is how much of an IPv6 address distinguishes senders: who has one
// address has the whole /64 (RFC 6177).
const networkBits = 64

// Network is what an address is counted as: itself, or for IPv6 its /64.
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
