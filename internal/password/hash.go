package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
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
	// ErrBusy says that every hash slot stayed taken for the whole wait.
	ErrBusy = errors.New("too many passwords are being checked")
	// ErrUnhashable says that a password is not [Hashable].
	ErrUnhashable = errors.New("password is too long or not text")
	// ErrHash says that a stored hash cannot be read or asks for an absurd cost.
	ErrHash = errors.New("stored password hash is not usable")
)

// Hasher hashes and verifies passwords, a bounded number at a time: each hash
// takes 19 MiB by default, and without a bound a burst of log-ins takes all memory
// (OWASP ASVS 5.0.0, 15.2.2). It is safe for concurrent use.
type Hasher struct {
	cost  Cost
	slots chan struct{}
	wait  time.Duration
	work  atomic.Int64
	// idKey is argon2.IDKey; a test waits in it for others.
	idKey func(password, salt []byte, passes, memoryKiB uint32, lanes uint8, keyLen uint32) []byte
}

// NewHasher returns a hasher of new hashes at this cost that runs at most slots
// hashes at once (at least one) and lets a caller wait for a slot no longer than
// wait.
func NewHasher(cost Cost, slots int, wait time.Duration) *Hasher {
	return &Hasher{cost: cost, slots: make(chan struct{}, max(slots, 1)), wait: wait, idKey: argon2.IDKey}
}

// Slots is how many hashes h runs at once at most.
func (h *Hasher) Slots() int { return cap(h.slots) }

// Work is what all hashes of h so far have cost: memory in KiB times passes,
// which is what an attacker who times answers can see of it.
func (h *Hasher) Work() int64 { return h.work.Load() }

// Hash returns the argon2id hash of the password's NFC form with a new salt,
// as a PHC string. It returns [ErrUnhashable], [ErrBusy], or the context's
// error if that ends first.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	own := h.blank()
	rand.Read(own.salt) // never fails, never returns short
	key, err := h.derive(ctx, own, password)
	if err != nil {
		return "", err
	}
	own.key = key
	return own.String(), nil
}

// Verify says whether the password is the one that was hashed, and whether
// the hash is outdated, that is, cheaper than what [Hasher.Hash] makes now.
// The comparison takes constant time. It returns [ErrHash] at once, without
// hashing, when the stored hash cannot be read or costs absurdly much,
// [ErrUnhashable], [ErrBusy], or the context's error.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (ok, outdated bool, err error) {
	stored, err := decode(hash)
	if err != nil {
		return false, false, err
	}
	key, err := h.derive(ctx, stored, password)
	if err != nil {
		return false, false, err
	}
	return subtle.ConstantTimeCompare(key, stored.key) == 1, h.outdated(stored), nil
}

// VerifyNobody takes as long as a [Hasher.Verify] of a present-day hash, so
// that a log-in for an unknown address answers no sooner than one with a wrong
// password (OWASP ASVS 5.0.0, 6.3.8). It returns [ErrUnhashable], [ErrBusy] or
// the context's error.
func (h *Hasher) VerifyNobody(ctx context.Context, password string) error {
	_, err := h.derive(ctx, h.blank(), password)
	return err
}

// blank is a hash of the cost of h, with salt and key zero.
func (h *Hasher) blank() encoded {
	return encoded{
		memoryKiB: h.cost.MemoryKiB, passes: h.cost.Passes, lanes: lanes,
		salt: make([]byte, saltBytes), key: make([]byte, keyBytes),
	}
}

func (h *Hasher) outdated(e encoded) bool {
	return e.memoryKiB < h.cost.MemoryKiB || e.passes < h.cost.Passes || len(e.salt) < saltBytes || len(e.key) < keyBytes
}

func (h *Hasher) derive(ctx context.Context, e encoded, password string) ([]byte, error) {
	if !Hashable(password) {
		return nil, ErrUnhashable
	}
	if err := h.acquire(ctx); err != nil {
		return nil, err
	}
	defer func() { <-h.slots }()
	h.work.Add(int64(e.memoryKiB) * int64(e.passes))
	text := []byte(norm.NFC.String(password))
	return h.idKey(text, e.salt, e.passes, e.memoryKiB, e.lanes, uint32(len(e.key))), nil
}

func (h *Hasher) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(h.wait)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

// encoded is a hash with its cost, as the PHC string format writes it.
type encoded struct {
	memoryKiB, passes uint32
	lanes             uint8
	salt, key         []byte
}

// What a stored hash may cost and hold. A row with more was not written by
// this program, and computing it would hand the process to whoever wrote it.
const (
	maxMemoryKiB = 128 << 10
	maxPasses    = 10
	maxLanes     = 8
	minSaltBytes = 8
	minKeyBytes  = 16
	maxPartBytes = 64
)

func (e encoded) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, e.memoryKiB, e.passes, e.lanes,
		base64.RawStdEncoding.EncodeToString(e.salt), base64.RawStdEncoding.EncodeToString(e.key))
}

// decode reads a PHC string and accepts only the spelling that String writes.
func decode(hash string) (encoded, error) {
	var e encoded
	var err error
	parts := strings.Split(hash, "$")
	if len(parts) != 6 {
		return e, fmt.Errorf("%w: not a PHC string", ErrHash)
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &e.memoryKiB, &e.passes, &e.lanes); err != nil {
		return e, fmt.Errorf("%w: cost cannot be read", ErrHash)
	}
	if e.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil {
		return e, fmt.Errorf("%w: salt cannot be read", ErrHash)
	}
	if e.key, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil {
		return e, fmt.Errorf("%w: key cannot be read", ErrHash)
	}
	if e.String() != hash {
		return e, fmt.Errorf("%w: not argon2id version %d", ErrHash, argon2.Version)
	}
	switch {
	case e.lanes < 1 || e.lanes > maxLanes, e.passes < 1 || e.passes > maxPasses,
		e.memoryKiB < 8*uint32(e.lanes) || e.memoryKiB > maxMemoryKiB:
		return e, fmt.Errorf("%w: cost m=%d,t=%d,p=%d out of bounds", ErrHash, e.memoryKiB, e.passes, e.lanes)
	case len(e.salt) < minSaltBytes || len(e.salt) > maxPartBytes, len(e.key) < minKeyBytes || len(e.key) > maxPartBytes:
		return e, fmt.Errorf("%w: salt or key of wrong size", ErrHash)
	}
	return e, nil
}
