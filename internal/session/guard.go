package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"

	"holdfast/internal/learn/trace"
)

// cells is where stored records lie, each under the SHA-256 of its token.
// Every store answers the same four questions; the guard above needs no more.
type cells interface {
	find(ctx context.Context, key string) ([]byte, bool, error)
	// findMany returns one entry a key, nil where nothing stands.
	findMany(ctx context.Context, keys []string) ([][]byte, error)
	// swap replaces what stands under key by to, if it is still from, in one
	// step that nothing can come between. from nil: only where nothing stands;
	// to nil: remove. When it did not swap, now is what stands (nil: nothing).
	swap(ctx context.Context, key string, from, to []byte, ttl time.Duration) (now []byte, swapped bool, err error)
	remove(ctx context.Context, key string) error
	ping(ctx context.Context) error
	close() error
}

// maxOverlays bounds how often one commit lays its changes over what another
// request has just stored. Requests of one process take turns after the first
// clash, so what is left to clash with are the other instances.
const maxOverlays = 24

var errOutrun = errors.New("other requests kept changing this session")

// guard is the scs store. The stock redisstore writes with a plain SET, which
// brings a session back that was ended while the request ran, and undoes what
// a parallel request stored. The guard stores a new session only where nothing
// stands and a loaded one only where it still stands, and on a clash lays this
// request's changes over what is there now.
type guard struct {
	cells cells
	turns *turns
}

var _ scs.CtxStore = (*guard)(nil)

// visit is what the guard remembers of one request between finding the record
// and committing it. It travels in the context, because scs hands the store
// nothing else.
type visit struct {
	found       []byte        // the bytes as found; nil: nothing stood there
	ttl         time.Duration // how long the store is to keep what is committed
	stored      []byte        // the bytes as committed
	noticeTaken bool          // a notice this request took was already taken elsewhere

	trace *trace.Recorder // nil: nobody watches this request
	key   string          // what was looked for, when somebody does
}

type visitKey struct{}

func visitFrom(ctx context.Context) *visit {
	v, ok := ctx.Value(visitKey{}).(*visit)
	if !ok {
		panic("session: store used without a visit in the context")
	}
	return v
}

// FindCtx implements [scs.CtxStore].
func (g *guard) FindCtx(ctx context.Context, key string) ([]byte, bool, error) {
	v := visitFrom(ctx)
	if v.trace != nil {
		v.key = key
		v.trace.Add(trace.Hash{Key: key})
	}
	stored, found, err := g.cells.find(ctx, key)
	if err == nil && found {
		v.found = stored
	}
	return stored, found, err
}

// CommitCtx implements [scs.CtxStore]. It returns ErrEnded when the session
// that was loaded stands no longer, and never recreates it.
func (g *guard) CommitCtx(ctx context.Context, key string, record []byte, _ time.Time) error {
	v := visitFrom(ctx)
	stored, taken, err := g.replace(ctx, key, v.found, record, v.ttl)
	if err != nil {
		return err
	}
	v.stored, v.noticeTaken = stored, taken
	return nil
}

// DeleteCtx implements [scs.CtxStore].
func (g *guard) DeleteCtx(ctx context.Context, key string) error {
	return g.cells.remove(ctx, key)
}

// Find, Commit and Delete complete [scs.Store]. scs prefers the variants with
// a context whenever they exist, so these are never called.
func (g *guard) Find(string) ([]byte, bool, error)      { return nil, false, errNoContext }
func (g *guard) Commit(string, []byte, time.Time) error { return errNoContext }
func (g *guard) Delete(string) error                    { return errNoContext }

var errNoContext = errors.New("session store called without a context")

// replace stores mine under key where found still stands, laying the changes
// over whatever stands there instead, and returns what was stored in the end.
func (g *guard) replace(ctx context.Context, key string, found, mine []byte, ttl time.Duration) (stored []byte, taken bool, err error) {
	if ttl <= 0 {
		return nil, false, ErrEnded
	}
	now, swapped, err := g.firstTry(ctx, key, found, mine, ttl)
	if err != nil || swapped {
		return mine, false, err
	}
	if found == nil {
		return nil, false, fmt.Errorf("%w: something stands under a new token", errUnreadable)
	}
	done, err := g.turns.alone(ctx, key)
	if err != nil {
		return nil, false, err
	}
	defer done()
	for range maxOverlays {
		if now == nil {
			return nil, false, ErrEnded
		}
		merged, gone, err := overlayBytes(found, mine, now)
		if err != nil {
			return nil, false, err
		}
		taken = taken || gone
		found, mine = now, merged
		now, swapped, err = g.cells.swap(ctx, key, found, mine, ttl)
		if err != nil || swapped {
			return mine, taken, err
		}
	}
	return nil, false, fmt.Errorf("%w: %w", ErrUnavailable, errOutrun)
}

// firstTry waits while another request of this process is laying its changes
// over: coming in between would only make both try again.
func (g *guard) firstTry(ctx context.Context, key string, found, mine []byte, ttl time.Duration) (now []byte, swapped bool, err error) {
	done, err := g.turns.among(ctx, key)
	if err != nil {
		return nil, false, err
	}
	defer done()
	return g.cells.swap(ctx, key, found, mine, ttl)
}

// retire removes the session under key, which a new one has taken the place
// of, and returns nil; or, when other requests have changed it since it was
// found, what stands now, so that the caller can carry that over before asking
// again. ErrEnded: nothing stands there any more.
func (g *guard) retire(ctx context.Context, key string, found []byte) (changed []byte, err error) {
	now, swapped, err := g.cells.swap(ctx, key, found, nil, 0)
	if err != nil || swapped {
		return nil, err
	}
	if now == nil {
		return nil, ErrEnded
	}
	return now, nil
}

func overlayBytes(base, mine, theirs []byte) ([]byte, bool, error) {
	var records [3]Record
	for i, stored := range [][]byte{base, mine, theirs} {
		record, err := decodeRecord(stored)
		if err != nil {
			return nil, false, err
		}
		records[i] = record
	}
	merged, taken := overlay(records[0], records[1], records[2])
	if !fit(merged.Values) && fit(records[2].Values) {
		return nil, false, ErrFull // each alone had room for its value
	}
	encoded, err := encodeRecord(merged)
	return encoded, taken, err
}

// stripeCount is how many locks all keys share, so that their memory does not
// grow with the number of sessions.
const stripeCount = 256

// stripeSeed spreads keys over stripes.
type stripeSeed struct{ seed maphash.Seed }

func newStripeSeed() stripeSeed { return stripeSeed{maphash.MakeSeed()} }

func (s stripeSeed) of(key string) int {
	return int(maphash.String(s.seed, key) % stripeCount)
}

// stripes are locks by key.
type stripes struct {
	seed  stripeSeed
	locks [stripeCount]sync.Mutex
}

func newStripes() *stripes { return &stripes{seed: newStripeSeed()} }

func (s *stripes) lock(key string) (unlock func()) {
	lock := &s.locks[s.seed.of(key)]
	lock.Lock()
	return lock.Unlock
}

// same reports whether what stands is what a swap expects.
func same(stands, from []byte) bool {
	return (stands == nil) == (from == nil) && bytes.Equal(stands, from)
}
