package store

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// local is a store that belongs to this process. update gives its bucket to one
// caller at a time, which makes its compare-and-swap atomic.
type local struct {
	name         string // for people
	view, update func(use func(bucket) error) error
}

// bucket holds the values of a local store.
type bucket interface {
	// get returns a copy of a value that has not expired, nil if there is none.
	get(key string) []byte
	put(key string, value []byte, expiry time.Time) error
	remove(key string) error
	// keys are those of all sessions.
	keys() []string
}

func (l *local) Get(ctx context.Context, key string) (value []byte, err error) {
	began := time.Now()
	err = l.view(func(b bucket) error { value = b.get(key); return nil })
	traceOf(ctx).ran(l.name, began, value, err, "Find", key)
	return value, err
}

func (l *local) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	return getEach(ctx, l.Get, keys)
}

func (l *local) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) error {
	began := time.Now()
	err := l.update(func(b bucket) error {
		stored := b.get(key)
		switch {
		case (stored == nil) != (old == nil) || !bytes.Equal(stored, old):
			return ErrConflict
		case new == nil:
			return b.remove(key)
		}
		return b.put(key, new, began.Add(ttl))
	})
	traceOf(ctx).ran(l.name, began, nil, err, "Commit", key, new)
	return err
}

func (l *local) Delete(ctx context.Context, keys ...string) error {
	began := time.Now()
	err := l.update(func(b bucket) error { return removeAll(b, keys) })
	for _, key := range keys {
		traceOf(ctx).ran(l.name, began, nil, err, "Delete", key)
	}
	return err
}

func (l *local) keys(_ context.Context, yield func(keys []string) error) error {
	var all []string
	if err := l.view(func(b bucket) error { all = b.keys(); return nil }); err != nil {
		return err
	}
	return yield(slices.DeleteFunc(all, isCounter))
}

func (l *local) DeleteAll(context.Context) (removed int, err error) {
	err = l.update(func(b bucket) error {
		keys := slices.DeleteFunc(b.keys(), isCounter)
		removed = len(keys)
		return removeAll(b, keys)
	})
	return removed, err
}

func isCounter(key string) bool { return strings.HasPrefix(key, Counters) }

func removeAll(b bucket, keys []string) (err error) {
	for _, key := range keys {
		err = errors.Join(err, b.remove(key))
	}
	return err
}

func (l *local) Ping(context.Context) error { return l.view(func(bucket) error { return nil }) }

func (l *local) Close() error { return nil }

// getEach reads keys one by one.
func getEach(ctx context.Context, get func(context.Context, string) ([]byte, error), keys []string) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i, key := range keys {
		var err error
		if values[i], err = get(ctx, key); err != nil {
			return nil, err
		}
	}
	return values, nil
}
