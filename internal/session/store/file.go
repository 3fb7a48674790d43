package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// file is a bbolt file, which one process has open. It is laid out as scs's
// boltstore does it, which hands out memory that is valid inside its transaction
// only, and has no compare-and-swap.
type file struct {
	local
	db      *bbolt.DB
	stop    func()       // ends what runs every minute
	present func() error // whether the open file is still the one at its path
	damaged atomic.Bool  // nothing is read or written from then on
}

const (
	// bucketName is the bucket of all values. Each begins with its expiry, 8 bytes
	// of big-endian Unix nanoseconds.
	bucketName = "scs:session"
	// propertyKey begins the keys under which the file keeps properties. No session
	// has such a key: theirs are 43 characters long.
	propertyKey = "beat"

	fileName = "the session file" // for people
)

func openFile(cfg Config) (*Opened, error) {
	path, err := inDataDir(cfg, "sessions.bolt")
	if err != nil {
		return nil, err
	}
	f := &file{stop: func() {}}
	err = f.guarded(func() (err error) {
		f.db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 3 * time.Second})
		return err
	})
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%s is in use by another running server; only one process can use a file store", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	opened, err := os.Stat(path)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	in := func(use func(bucket) error) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error { return use(boltBucket{tx.Bucket([]byte(bucketName))}) }
	}
	view := func(use func(bucket) error) error { return f.guarded(func() error { return f.db.View(in(use)) }) }
	f.present = func() error {
		if at, err := os.Stat(path); err != nil || !os.SameFile(at, opened) {
			return errors.New(fileName + " was removed or replaced while it was open, restart the server")
		}
		return nil
	}
	update := func(use func(bucket) error) error {
		if err := f.present(); err != nil {
			return err
		}
		return cfg.withRoom(func() error { return f.guarded(func() error { return f.db.Update(in(use)) }) })
	}
	f.local = local{fileName, view, update}
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

// Ping implements [Store].
func (f *file) Ping(ctx context.Context) error { return cmp.Or(f.present(), f.local.Ping(ctx)) }

// guarded runs what reads or writes the file. bbolt maps the file into memory: where
// the file has been cut, reading it is a fault, and on a page that is not what it should
// be bbolt panics. Both become errors here. A transaction may then hold its lock for
// ever, so it is the last one.
func (f *file) guarded(run func() error) (err error) {
	const damaged = fileName + " is damaged"
	if f.damaged.Load() {
		return errors.New(damaged)
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			f.damaged.Store(true)
			err = fmt.Errorf(damaged+": %v", cause)
		}
	}()
	return run()
}

// begin makes sure that the file is the right one, removes the sessions revoked since
// its watermark, and starts the heartbeat and the sweeps. It returns the watch on the
// database's clock.
func (f *file) begin(ctx context.Context, cfg Config, identity Identity) (*clockWatch, error) {
	err := f.guarded(func() error {
		return f.db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucketIfNotExists([]byte(bucketName)); return err })
	})
	if err == nil && cfg.Accept != nil {
		if identity.ID, err = f.property(ctx, idProperty); err == nil {
			err = accept(cfg, identity)
		}
	}
	if err != nil {
		return nil, err
	}
	heartbeat := newHeartbeat(cfg)
	stored, err := f.property(ctx, watermarkProperty)
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
	logged := func(failed string, act func(context.Context) error) func(context.Context) {
		return func(ctx context.Context) {
			if err := act(ctx); err != nil && ctx.Err() == nil {
				cfg.Log.Warn(failed, "cause", err)
			}
		}
	}
	// An older copy can only be put there while no server runs, so it is checked when the
	// file is opened. Writing the watermark only keeps short what has to be replayed then.
	advance := func(ctx context.Context) error {
		// Every revoked session is removed here before the revocation is stamped, so the
		// clock read before the write is a watermark.
		now, err := heartbeat.clock.read(ctx, cfg.RevocationLog)
		if err != nil {
			return err
		}
		return f.writeWatermark(watermarkOf(now))
	}
	f.stop = repeat(time.Minute, logged("expired sessions not deleted", f.sweep), logged("session store watermark not written", advance))
	return heartbeat.clock, nil
}

func (f *file) Close() error {
	f.stop()
	if f.damaged.Load() {
		return nil // closing waits for the lock
	}
	return f.guarded(f.db.Close)
}

func (f *file) sweep(context.Context) error {
	now := time.Now()
	return f.update(func(b bucket) error {
		return removeAll(b, b.(boltBucket).find(func(_, stored []byte) bool { return expired(stored, now) }))
	})
}

// boltBucket is the bucket within one transaction.
type boltBucket struct{ in *bbolt.Bucket }

func (b boltBucket) get(key string) []byte {
	if stored := b.in.Get([]byte(key)); !expired(stored, time.Now()) {
		return append([]byte{}, stored[8:]...)
	}
	return nil
}

func expired(stored []byte, now time.Time) bool {
	return len(stored) < 8 || binary.BigEndian.Uint64(stored) < uint64(now.UnixNano())
}

func (b boltBucket) put(key string, value []byte, expiry time.Time) error {
	return b.in.Put([]byte(key), append(binary.BigEndian.AppendUint64(nil, uint64(expiry.UnixNano())), value...))
}

func (b boltBucket) remove(key string) error { return b.in.Delete([]byte(key)) }

// keys leaves out the file's properties.
func (b boltBucket) keys() []string {
	return b.find(func(key, _ []byte) bool { return !bytes.HasPrefix(key, []byte(propertyKey)) })
}

func (b boltBucket) find(which func(key, stored []byte) bool) (keys []string) {
	_ = b.in.ForEach(func(key, stored []byte) error { // fails only with what this function returns
		if which(key, stored) {
			keys = append(keys, string(key))
		}
		return nil
	})
	return keys
}

func (f *file) property(ctx context.Context, p property) (string, error) {
	value, err := f.Get(ctx, propertyKey+string(p))
	return string(value), err
}

// setProperty needs no option NX: no other process has the file open.
func (f *file) setProperty(_ context.Context, p property, value string, _ ...any) error {
	return f.update(func(b bucket) error {
		return b.put(propertyKey+string(p), []byte(value), time.Now().AddDate(10, 0, 0))
	})
}

func (f *file) writeWatermark(w watermark) error {
	if err := f.setProperty(context.Background(), watermarkProperty, strings.TrimSpace(w.at+" "+w.epoch)); err != nil {
		return fmt.Errorf("write watermark: %w", err)
	}
	return nil
}
