package password

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/text/unicode/norm"
)

// Cost is the work of one argon2id hash.
type Cost struct {
	MemoryKiB, Passes uint32
}

// DefaultCost is 19 MiB and two passes (OWASP Password Storage Cheat Sheet;
// OWASP ASVS 5.0.0, 11.4.2).
func DefaultCost() Cost { return Cost{MemoryKiB: 19456, Passes: 2} }

// A hash has one lane, a salt of 128 bits (RFC 9106, section 3.1) and a key of
// 256 bits.
const (
	lanes     = 1
	saltBytes = 16
	keyBytes  = 32
)

var (
	// ErrBusy means that every hash slot stayed in use for the whole wait.
	ErrBusy = errors.New("too many passwords are being checked at once")
	// ErrUnhashable means that a password is not [Hashable].
	ErrUnhashable = errors.New("password is too long or not text")
	// ErrHash means that a stored hash cannot be read or asks for an absurd cost.
	ErrHash = errors.New("invalid stored password hash")
)

// Hasher hashes and verifies passwords, a limited number at a time: each hash takes 19
// MiB by default, so without a limit a burst of logins would take all memory (OWASP
// ASVS 5.0.0, 15.2.2). It is safe for concurrent use.
type Hasher struct {
	cost    argon2id.Params
	slots   int
	free    *semaphore.Weighted // the slots
	wait    time.Duration
	mu      sync.Mutex
	shares  map[string]*share // by the key of For; holds only those in use
	work    atomic.Int64
	hashing func() // called before each hash is computed; a test uses it to wait for others
}

// NewHasher returns a hasher that makes new hashes at this cost. It runs at most slots
// hashes (at least one) at the same time, and a caller waits for a slot no longer than
// wait.
func NewHasher(cost Cost, slots int, wait time.Duration) *Hasher {
	slots = max(slots, 1)
	return &Hasher{
		cost: argon2id.Params{
			Memory: cost.MemoryKiB, Iterations: cost.Passes, Parallelism: lanes, SaltLength: saltBytes, KeyLength: keyBytes,
		},
		slots: slots, free: semaphore.NewWeighted(int64(slots)), wait: wait, shares: map[string]*share{}, hashing: func() {},
	}
}

// Slots returns how many hashes h runs at the same time at most.
func (h *Hasher) Slots() int { return h.slots }

// Work returns what all hashes of h so far have cost: memory in KiB times passes, which
// is what an attacker who measures response times can observe.
func (h *Hasher) Work() int64 { return h.work.Load() }

// Hash returns the argon2id hash of the password's NFC form with a new salt, as a PHC
// string. It returns [ErrUnhashable], [ErrBusy], or the context's error.
func (h *Hasher) Hash(ctx context.Context, password string) (hash string, err error) {
	err = h.inSlot(ctx, password, h.cost, func(text string) (err error) {
		hash, err = argon2id.CreateHash(text, &h.cost)
		return err
	})
	return hash, err
}

// Verify reports whether the password matches the hash, and whether the hash is
// outdated: cheaper than those that [Hasher.Hash] makes now. The comparison takes
// constant time. If the stored hash cannot be read or has an absurd cost, it returns
// [ErrHash] without hashing. It also returns [ErrUnhashable], [ErrBusy], or the
// context's error.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (ok, outdated bool, err error) {
	cost, err := costOf(hash)
	if err != nil {
		return false, false, err
	}
	err = h.inSlot(ctx, password, cost, func(text string) (err error) {
		ok, err = argon2id.ComparePasswordAndHash(text, hash)
		return err
	})
	outdated = cost.Memory < h.cost.Memory || cost.Iterations < h.cost.Iterations ||
		cost.SaltLength < saltBytes || cost.KeyLength < keyBytes
	return ok, outdated && err == nil, err
}

// VerifyNobody takes as long as a [Hasher.Verify] of a current hash, so that a login
// with an unknown address gets no faster response than one with a wrong password (OWASP
// ASVS 5.0.0, 6.3.8). It returns [ErrUnhashable], [ErrBusy] or the context's error.
func (h *Hasher) VerifyNobody(ctx context.Context, password string) error {
	_, err := h.Hash(ctx, password)
	return err
}

type shareKey struct{}

// For returns a context for hashes that are made for one account or one sender, which
// key identifies. All hashes for one key together use at most half of the slots.
// Further hashes for that key wait for one another and not in the line for a slot:
// however many there are, a hash for another key waits behind few of them.
func For(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, shareKey{}, key)
}

// share is the slots that hashes for one key may use.
type share struct {
	free  *semaphore.Weighted
	users int // guarded by Hasher.mu
}

// join returns the slots of the key in ctx, and a function to call when the caller no
// longer uses them.
func (h *Hasher) join(ctx context.Context) (free *semaphore.Weighted, leave func()) {
	key, found := ctx.Value(shareKey{}).(string)
	if !found {
		return semaphore.NewWeighted(1), func() {}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.shares[key]
	if s == nil {
		s = &share{free: semaphore.NewWeighted(int64(max(1, h.slots/2)))}
		h.shares[key] = s
	}
	s.users++
	return s.free, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if s.users--; s.users == 0 {
			delete(h.shares, key)
		}
	}
}

// inSlot calls hash with the normalised password when a slot is free.
func (h *Hasher) inSlot(ctx context.Context, password string, cost argon2id.Params, hash func(text string) error) error {
	if !Hashable(password) {
		return ErrUnhashable
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	waiting, stop := context.WithTimeoutCause(ctx, h.wait, ErrBusy)
	defer stop()
	share, leave := h.join(ctx)
	defer leave()
	for _, slots := range []*semaphore.Weighted{share, h.free} {
		// A free slot is taken even if there is no time to wait.
		if !slots.TryAcquire(1) && slots.Acquire(waiting, 1) != nil {
			return context.Cause(waiting)
		}
		defer slots.Release(1)
	}
	h.work.Add(int64(cost.Memory) * int64(cost.Iterations))
	h.hashing()
	return hash(norm.NFC.String(password))
}

// Limits on the cost and size of a stored hash. A row beyond them was not written by
// this program, and computing it would give its author control over the process.
const (
	maxMemoryKiB = 128 << 10
	maxPasses    = 10
	maxLanes     = 8
	minSaltBytes = 8
	minKeyBytes  = 16
	maxPartBytes = 64
)

// costOf parses the cost of a PHC string. It accepts only the spelling that this
// package writes.
func costOf(hash string) (argon2id.Params, error) {
	p, salt, key, err := argon2id.DecodeHash(hash)
	if err != nil {
		return argon2id.Params{}, fmt.Errorf("%w: %w", ErrHash, err)
	}
	spelt := fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Iterations, p.Parallelism,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
	switch {
	case hash != spelt:
		return *p, fmt.Errorf("%w: not a PHC string of this program", ErrHash)
	case p.Parallelism < 1 || p.Parallelism > maxLanes, p.Iterations < 1 || p.Iterations > maxPasses,
		p.Memory < 8*uint32(p.Parallelism) || p.Memory > maxMemoryKiB:
		return *p, fmt.Errorf("%w: cost m=%d,t=%d,p=%d out of bounds", ErrHash, p.Memory, p.Iterations, p.Parallelism)
	case len(salt) < minSaltBytes || len(salt) > maxPartBytes, len(key) < minKeyBytes || len(key) > maxPartBytes:
		return *p, fmt.Errorf("%w: salt or key of wrong size", ErrHash)
	}
	return *p, nil
}
