package session

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"

	"holdfast/internal/learn/trace"
)

// lockedCells gives any scs store the guard's atomic step by a lock in this
// process. That is enough for stores that one process owns: memory, a file, the
// embedded Redis.
type lockedCells struct {
	store   scs.Store
	name    string // for people; "" for a store that notes its own commands
	stripes *stripes
	// whole, where set, is taken shared by readers and exclusively by writers
	// of any key: boltstore hands out memory that the next write may reuse.
	whole *sync.RWMutex
	// timeout, where set, bounds each question to the store, which may hang.
	timeout time.Duration
	alive   func(context.Context) error
	shut    func() error
}

func (l *lockedCells) find(ctx context.Context, key string) ([]byte, bool, error) {
	if l.whole != nil {
		l.whole.RLock()
		defer l.whole.RUnlock()
	}
	stored, found, err := l.ask(ctx, key)
	return slices.Clone(stored), found, err
}

func (l *lockedCells) ask(ctx context.Context, key string) ([]byte, bool, error) {
	rec := l.watched(ctx)
	if rec == nil {
		return l.askStore(ctx, key)
	}
	began := time.Now()
	stored, found, err := l.askStore(ctx, key)
	rec.Timed(began, read(rec, l.name, "Find "+key, stored, found, err))
	return stored, found, err
}

func (l *lockedCells) askStore(ctx context.Context, key string) ([]byte, bool, error) {
	if store, ok := l.store.(scs.CtxStore); ok {
		ctx, cancel := l.bounded(ctx)
		defer cancel()
		return store.FindCtx(ctx, key)
	}
	return l.store.Find(key)
}

func (l *lockedCells) findMany(ctx context.Context, keys []string) ([][]byte, error) {
	stored := make([][]byte, len(keys))
	for i, key := range keys {
		record, found, err := l.find(ctx, key)
		if err != nil {
			return nil, err
		}
		if found {
			stored[i] = record
		}
	}
	return stored, nil
}

func (l *lockedCells) swap(ctx context.Context, key string, from, to []byte, ttl time.Duration) (now []byte, swapped bool, err error) {
	defer l.lock(key)()
	stands, found, err := l.ask(ctx, key)
	if err != nil {
		return nil, false, err
	}
	if !found {
		stands = nil
	}
	if !same(stands, from) {
		return slices.Clone(stands), false, nil
	}
	if to == nil {
		return nil, true, l.drop(ctx, key)
	}
	return nil, true, l.put(ctx, key, to, time.Now().Add(ttl))
}

func (l *lockedCells) put(ctx context.Context, key string, record []byte, expiry time.Time) error {
	rec := l.watched(ctx)
	if rec == nil {
		return l.putStore(ctx, key, record, expiry)
	}
	began := time.Now()
	err := l.putStore(ctx, key, record, expiry)
	rec.Timed(began, trace.Operation{Store: l.name, Text: "Commit " + key + " " + size(record), Cause: trace.Cause(err)})
	return err
}

func (l *lockedCells) putStore(ctx context.Context, key string, record []byte, expiry time.Time) error {
	if store, ok := l.store.(scs.CtxStore); ok {
		ctx, cancel := l.bounded(ctx)
		defer cancel()
		return store.CommitCtx(ctx, key, record, expiry)
	}
	return l.store.Commit(key, record, expiry)
}

func (l *lockedCells) remove(ctx context.Context, key string) error {
	defer l.lock(key)()
	return l.drop(ctx, key)
}

func (l *lockedCells) drop(ctx context.Context, key string) error {
	rec := l.watched(ctx)
	if rec == nil {
		return l.dropStore(ctx, key)
	}
	began := time.Now()
	err := l.dropStore(ctx, key)
	rec.Timed(began, trace.Operation{Store: l.name, Text: "Delete " + key, Cause: trace.Cause(err)})
	return err
}

// watched is the Recorder of a request whose operations are noted here.
func (l *lockedCells) watched(ctx context.Context) *trace.Recorder {
	if l.name == "" {
		return nil
	}
	return trace.From(ctx)
}

func (l *lockedCells) dropStore(ctx context.Context, key string) error {
	if store, ok := l.store.(scs.CtxStore); ok {
		ctx, cancel := l.bounded(ctx)
		defer cancel()
		return store.DeleteCtx(ctx, key)
	}
	return l.store.Delete(key)
}

func (l *lockedCells) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, l.timeout)
}

// lock keeps other writers of key away, and of every key where readers are
// not safe from them.
func (l *lockedCells) lock(key string) (unlock func()) {
	if l.whole != nil {
		l.whole.Lock()
		return l.whole.Unlock
	}
	return l.stripes.lock(key)
}

func (l *lockedCells) ping(ctx context.Context) error {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	return l.alive(ctx)
}

func (l *lockedCells) close() error { return l.shut() }
