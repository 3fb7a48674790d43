package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"time"

	"github.com/alexedwards/scs/boltstore"
	"go.etcd.io/bbolt"
)

// boltBucket is the bucket boltstore keeps sessions in; every value begins
// with its expiry, 8 bytes of big-endian Unix nanoseconds.
const boltBucket = "scs:session"

// sweepEvery is how often expired values are removed from the file.
const sweepEvery = time.Minute

// boltValues are values in a file. boltstore hands out memory that is valid
// inside its transaction only, so reads keep writes away while they copy; its
// own clean-up would not wait for them and is replaced by sweep.
type boltValues struct {
	scsValues
	db    *bbolt.DB
	mu    sync.RWMutex // held for writing by any write
	stop  chan struct{}
	swept sync.WaitGroup
}

func newBoltValues(db *bbolt.DB, log *slog.Logger) *boltValues {
	v := &boltValues{
		scsValues: scsValues{name: "the file of sessions", store: boltstore.NewWithCleanupInterval(db, 0)},
		db:        db,
		stop:      make(chan struct{}),
	}
	v.swept.Go(func() { v.sweepAll(log) })
	return v
}

func (v *boltValues) Get(ctx context.Context, key string) ([]byte, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.scsValues.Get(ctx, key)
}

func (v *boltValues) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	return getEach(ctx, v.Get, keys)
}

func (v *boltValues) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.scsValues.Set(ctx, key, value, ttl)
}

func (v *boltValues) property(ctx context.Context, p property) (string, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.scsValues.property(ctx, p)
}

func (v *boltValues) setProperty(ctx context.Context, p property, value string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.scsValues.setProperty(ctx, p, value)
}

func (v *boltValues) Delete(ctx context.Context, keys ...string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.scsValues.Delete(ctx, keys...)
}

// DeleteAll leaves the bucket, without which boltstore panics, and what the data
// says of itself.
func (v *boltValues) DeleteAll(context.Context) (removed int, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	err = v.db.Update(func(tx *bbolt.Tx) error {
		name, kept := []byte(boltBucket), map[string][]byte{}
		if bucket := tx.Bucket(name); bucket != nil {
			for _, p := range []property{beatProperty, idProperty} {
				key := scsBeatKey + string(p)
				if value := bucket.Get([]byte(key)); value != nil {
					kept[key] = bytes.Clone(value)
				}
			}
			removed = bucket.Stats().KeyN - len(kept)
			if err := tx.DeleteBucket(name); err != nil {
				return err
			}
		}
		bucket, err := tx.CreateBucket(name)
		if err != nil {
			return err
		}
		for key, value := range kept {
			if err := bucket.Put([]byte(key), value); err != nil {
				return err
			}
		}
		return nil
	})
	return removed, err
}

func (v *boltValues) Ping(context.Context) error {
	return v.db.View(func(*bbolt.Tx) error { return nil })
}

func (v *boltValues) close() error {
	close(v.stop)
	v.swept.Wait()
	return v.db.Close()
}

func (v *boltValues) sweepAll(log *slog.Logger) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-v.stop:
			return
		case <-tick.C:
			if err := v.sweep(time.Now()); err != nil {
				log.Warn("expired sessions not removed", "cause", err)
			}
		}
	}
}

func (v *boltValues) sweep(now time.Time) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte(boltBucket))
		if bucket == nil {
			return nil
		}
		var expired [][]byte
		err := bucket.ForEach(func(key, value []byte) error {
			if len(value) < 8 || binary.BigEndian.Uint64(value) < uint64(now.UnixNano()) {
				expired = append(expired, key)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, key := range expired {
			if err := bucket.Delete(key); err != nil {
				return err
			}
		}
		return nil
	})
}
