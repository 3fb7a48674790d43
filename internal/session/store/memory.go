package store

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2/memstore"
)

// memory is the memory of this process: scs's memstore, with a lock that makes its
// compare-and-swap atomic.
type memory struct {
	store   *memstore.MemStore
	writing sync.Mutex
}

// memoryName is what people read.
const memoryName = "the server’s own memory"

func openMemory(cfg Config) (*Opened, error) {
	identity := Identity{Kind: KindMemory, Place: memoryName}
	if err := accept(cfg, identity); err != nil {
		return nil, err
	}
	// Its sweeper ends with the process: StopCleanup is a data race (scs v2.9.0
	// makes the channel it reads in the sweeper itself).
	return &Opened{
		Store: &memory{store: memstore.New()}, Where: "this server’s memory", identity: identity,
		OneStep: "a lock in this server, held from reading the record again until it is saved; no other process has the store open",
	}, nil
}

func (m *memory) Get(ctx context.Context, key string) ([]byte, error) {
	began := time.Now()
	value, _, err := m.store.Find(key)
	traceOf(ctx).ran(memoryName, began, value, err, "Find", key)
	return slices.Clone(value), err
}

func (m *memory) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	return getEach(ctx, m.Get, keys)
}

func (m *memory) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	stored, err := m.Get(ctx, key)
	switch {
	case err != nil:
		return err
	case (stored == nil) != (old == nil) || !bytes.Equal(stored, old):
		return ErrConflict
	case new == nil:
		return m.remove(ctx, key)
	}
	began := time.Now()
	err = m.store.Commit(key, new, began.Add(ttl))
	traceOf(ctx).ran(memoryName, began, nil, err, "Commit", key, new)
	return err
}

func (m *memory) Delete(ctx context.Context, keys ...string) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	return m.remove(ctx, keys...)
}

func (m *memory) remove(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		began := time.Now()
		err := m.store.Delete(key)
		traceOf(ctx).ran(memoryName, began, nil, err, "Delete", key)
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) DeleteAll(ctx context.Context) (int, error) {
	m.writing.Lock()
	defer m.writing.Unlock()
	all, err := m.store.All()
	if err != nil {
		return 0, err
	}
	for key := range all {
		if err := m.store.Delete(key); err != nil {
			return 0, err
		}
	}
	return len(all), nil
}

func (*memory) Ping(context.Context) error { return nil }

func (*memory) Close() error { return nil }

func getEach(ctx context.Context, get func(context.Context, string) ([]byte, error), keys []string) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i, key := range keys {
		value, err := get(ctx, key)
		if err != nil {
			return nil, err
		}
		values[i] = value
	}
	return values, nil
}
