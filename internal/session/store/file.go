package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// file is a bbolt file, which one process has open. It is laid out as scs's
// boltstore does it, which hands out memory that is valid inside its transaction
// only, and has no compare-and-swap.
type file struct {
	db      *bbolt.DB
	stop    context.CancelFunc
	running sync.WaitGroup // what runs every minute
}

const (
	// boltBucket is the bucket of all values. Each begins with its expiry, 8 bytes
	// of big-endian Unix nanoseconds.
	boltBucket = "scs:session"
	// propertyKey begins the keys under which the file keeps properties. No session
	// has such a key: theirs are 43 characters long.
	propertyKey = "beat"

	fileName = "the session file" // for people

	sweepEvery = time.Minute
	// fileHeartbeatEvery is the time between two heartbeat writes to a file. An older
	// copy can only be put there while no server runs, so it is checked when the file is
	// opened; the writes only keep short what has to be replayed then.
	fileHeartbeatEvery = time.Minute
)

func openFile(cfg Config) (*Opened, error) {
	path, err := inDataDir(cfg, "sessions.bolt")
	if err != nil {
		return nil, err
	}
	if err := mustBeThere(cfg, path); err != nil {
		return nil, err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 3 * time.Second})
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%s is in use by another running server; only one process can use a file store", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	f := &file{db: db, stop: func() {}}
	identity := Identity{Kind: KindFile, Place: placeOfFile("the file", path)}
	clock, err := f.begin(context.Background(), cfg, identity)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Opened{
		Store: f, Where: "the file " + path, identity: identity, clock: clock,
		OneStep: "one transaction on the file, which reads the record again and saves it; no other process has the file open",
	}, nil
}

func inDataDir(cfg Config, name string) (path string, err error) {
	if cfg.Accept == nil {
		if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
			return "", fmt.Errorf("create DATA_DIR: %w", err)
		}
	}
	return filepath.Join(cfg.DataDir, name), nil
}

// begin makes sure that the file is the right one, removes the sessions revoked since
// its watermark, and starts the heartbeat and the sweeps. It returns the watch on the
// database's clock.
func (f *file) begin(ctx context.Context, cfg Config, identity Identity) (*clockWatch, error) {
	err := f.update(func(bucket *bbolt.Bucket) error { return nil }) // makes the bucket
	if err == nil && cfg.Accept != nil {
		if identity.ID, err = f.id(ctx); err == nil {
			err = accept(cfg, identity)
		}
	}
	if err != nil {
		return nil, err
	}
	heartbeat := newHeartbeat(cfg)
	stored, err := f.property(watermarkProperty)
	if err != nil {
		return nil, fmt.Errorf("read watermark: %w", err)
	}
	at, epoch, _ := strings.Cut(stored, " ")
	next, err := heartbeat.replay(ctx, watermark{at, epoch}, func(keys []string) error { return f.Delete(ctx, keys...) })
	if err == nil {
		err = f.writeWatermark(next)
	}
	if err != nil {
		return nil, err
	}
	var run context.Context
	run, f.stop = context.WithCancel(context.Background())
	f.every(run, sweepEvery, cfg.Log, "expired sessions not deleted", f.sweep)
	f.every(run, fileHeartbeatEvery, cfg.Log, "session store watermark not written", func(ctx context.Context) error {
		// Every revoked session is removed here before the revocation is stamped, so the
		// clock read before the write is a watermark.
		now, err := heartbeat.clock.read(ctx, cfg.RevocationLog)
		if err != nil {
			return err
		}
		return f.writeWatermark(watermarkOf(now))
	})
	return heartbeat.clock, nil
}

func (f *file) every(run context.Context, period time.Duration, log *slog.Logger, failed string, do func(context.Context) error) {
	f.running.Go(func() {
		tick := time.NewTicker(period)
		defer tick.Stop()
		for {
			select {
			case <-run.Done():
				return
			case <-tick.C:
				if err := do(run); err != nil && run.Err() == nil {
					log.Warn(failed, "cause", err)
				}
			}
		}
	})
}

func (f *file) Close() error {
	f.stop()
	f.running.Wait()
	return f.db.Close()
}

// update runs one transaction on the bucket.
func (f *file) update(change func(bucket *bbolt.Bucket) error) error {
	return f.db.Update(func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists([]byte(boltBucket))
		if err != nil {
			return err
		}
		return change(bucket)
	})
}

// get returns a copy of a value that has not expired, nil if there is none.
func get(bucket *bbolt.Bucket, key string) []byte {
	if stored := bucket.Get([]byte(key)); !expired(stored, time.Now()) {
		return append([]byte{}, stored[8:]...)
	}
	return nil
}

func expired(stored []byte, now time.Time) bool {
	return len(stored) < 8 || binary.BigEndian.Uint64(stored) < uint64(now.UnixNano())
}

func put(bucket *bbolt.Bucket, key string, value []byte, expiry time.Time) error {
	return bucket.Put([]byte(key), append(binary.BigEndian.AppendUint64(nil, uint64(expiry.UnixNano())), value...))
}

// removeIf removes values, and returns how many those were.
func removeIf(bucket *bbolt.Bucket, which func(key, stored []byte) bool) (removed int, err error) {
	var keys [][]byte
	err = bucket.ForEach(func(key, stored []byte) error {
		if which(key, stored) {
			keys = append(keys, key)
		}
		return nil
	})
	for _, key := range keys {
		err = errors.Join(err, bucket.Delete(key))
	}
	return len(keys), err
}

func (f *file) Get(ctx context.Context, key string) (value []byte, err error) {
	began := time.Now()
	err = f.db.View(func(tx *bbolt.Tx) error { value = get(tx.Bucket([]byte(boltBucket)), key); return nil })
	traceOf(ctx).ran(fileName, began, value, err, "Find", key)
	return value, err
}

func (f *file) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	return getEach(ctx, f.Get, keys)
}

func (f *file) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) error {
	began := time.Now()
	err := f.update(func(bucket *bbolt.Bucket) error {
		stored := get(bucket, key)
		switch {
		case (stored == nil) != (old == nil) || !bytes.Equal(stored, old):
			return ErrConflict
		case new == nil:
			return bucket.Delete([]byte(key))
		}
		return put(bucket, key, new, began.Add(ttl))
	})
	traceOf(ctx).ran(fileName, began, nil, err, "Commit", key, new)
	return err
}

func (f *file) Delete(ctx context.Context, keys ...string) error {
	began := time.Now()
	err := f.update(func(bucket *bbolt.Bucket) (err error) {
		for _, key := range keys {
			err = errors.Join(err, bucket.Delete([]byte(key)))
		}
		return err
	})
	for _, key := range keys {
		traceOf(ctx).ran(fileName, began, nil, err, "Delete", key)
	}
	return err
}

// DeleteAll leaves what the file says of itself.
func (f *file) DeleteAll(context.Context) (removed int, err error) {
	err = f.update(func(bucket *bbolt.Bucket) (err error) {
		removed, err = removeIf(bucket, func(key, _ []byte) bool { return !bytes.HasPrefix(key, []byte(propertyKey)) })
		return err
	})
	return removed, err
}

func (f *file) sweep(context.Context) error {
	now := time.Now()
	return f.update(func(bucket *bbolt.Bucket) error {
		_, err := removeIf(bucket, func(_, stored []byte) bool { return expired(stored, now) })
		return err
	})
}

func (f *file) Ping(context.Context) error { return f.db.View(func(*bbolt.Tx) error { return nil }) }

func (f *file) property(p property) (string, error) {
	value, err := f.Get(context.Background(), propertyKey+string(p))
	return string(value), err
}

func (f *file) setProperty(p property, value string) error {
	return f.update(func(bucket *bbolt.Bucket) error {
		return put(bucket, propertyKey+string(p), []byte(value), time.Now().AddDate(10, 0, 0))
	})
}

func (f *file) writeWatermark(w watermark) error {
	if err := f.setProperty(watermarkProperty, strings.TrimSpace(w.at+" "+w.epoch)); err != nil {
		return fmt.Errorf("write watermark: %w", err)
	}
	return nil
}

func (f *file) id(context.Context) (string, error) { return f.property(idProperty) }

func (f *file) setID(_ context.Context, id string) error { return f.setProperty(idProperty, id) }
