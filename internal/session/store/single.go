package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"go.etcd.io/bbolt"

	"holdfast/internal/embeddedredis"
)

// single is a store that one process owns. Its compare-and-swap is one step
// because every write of the process waits for the one before.
type single struct {
	values  values
	timeout time.Duration // longest wait for the writes before
	writing chan struct{} // held by whoever writes
	close   func() error
}

// values is what single makes a [Store] of.
type values interface {
	Get(ctx context.Context, key string) ([]byte, error)
	GetMany(ctx context.Context, keys []string) ([][]byte, error)
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	Delete(ctx context.Context, keys ...string) error
	Ping(ctx context.Context) error
}

const lockedInProcess = "a lock in this server, taken before the record is read again and let go after it is written; no other process has the store open"

func newSingle(v values, timeout time.Duration, close func() error) *single {
	return &single{values: v, timeout: timeout, writing: make(chan struct{}, 1), close: close}
}

func (s *single) Get(ctx context.Context, key string) ([]byte, error) { return s.values.Get(ctx, key) }

func (s *single) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	return s.values.GetMany(ctx, keys)
}

func (s *single) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) error {
	return s.alone(ctx, func() error {
		stored, err := s.values.Get(ctx, key)
		switch {
		case err != nil:
			return err
		case (stored == nil) != (old == nil) || !bytes.Equal(stored, old):
			return ErrConflict
		case new == nil:
			return s.values.Delete(ctx, key)
		}
		return s.values.Set(ctx, key, new, ttl)
	})
}

func (s *single) Delete(ctx context.Context, keys ...string) error {
	return s.alone(ctx, func() error { return s.values.Delete(ctx, keys...) })
}

func (s *single) Ping(ctx context.Context) error { return s.values.Ping(ctx) }
func (s *single) Close() error                   { return s.close() }

// alone runs write when the writes before it are done.
func (s *single) alone(ctx context.Context, write func() error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	select {
	case s.writing <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for the writes before: %w", ctx.Err())
	}
	defer func() { <-s.writing }()
	return write()
}

// localTimeout bounds the wait for the writes before in stores that are a data
// structure of this process and cannot hang for long.
const localTimeout = 5 * time.Second

func openMemory() *Opened {
	// Its sweeper ends with the process: StopCleanup is a data race (scs v2.9.0
	// makes the channel it reads in the sweeper itself).
	v := scsValues{name: KindMemory, store: memstore.New()}
	return &Opened{Store: newSingle(v, localTimeout, func() error { return nil }), Where: "this server's memory", OneStep: lockedInProcess}
}

func openFile(cfg Config) (*Opened, error) {
	path, err := inDataDir(cfg, "sessions.bolt")
	if err != nil {
		return nil, err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 3 * time.Second})
	if errors.Is(err, bbolt.ErrTimeout) {
		return nil, fmt.Errorf("%s is held by another running server: a file belongs to one process", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	v := newBoltValues(db, cfg.Log)
	return &Opened{Store: newSingle(v, localTimeout, v.close), Where: "file " + path, OneStep: lockedInProcess}, nil
}

func openEmbedded(ctx context.Context, cfg Config) (*Opened, error) {
	path, err := inDataDir(cfg, "redis.db")
	if err != nil {
		return nil, err
	}
	server, err := embeddedredis.Start(ctx, cfg.DataDir, cfg.Log)
	if err != nil {
		return nil, err
	}
	client := newClient(cfg, "embedded Redis", server.Dial, nil)
	r := newRedisValues("embedded Redis", client, cfg.Belongs)
	return &Opened{
		Store:    newSingle(r, cfg.Timeout, func() error { return errors.Join(client.Close(), server.Close()) }),
		Where:    "embedded Redis in " + path,
		OneStep:  lockedInProcess,
		Redis:    client,
		Dial:     server.Dial,
		Embedded: server,
	}, nil
}

func inDataDir(cfg Config, name string) (path string, err error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return "", fmt.Errorf("make DATA_DIR: %w", err)
	}
	return filepath.Join(cfg.DataDir, name), nil
}

// scsValues are values in a store of scs that takes no context.
type scsValues struct {
	name  string // for people
	store scs.Store
}

func (v scsValues) Get(ctx context.Context, key string) ([]byte, error) {
	began := time.Now()
	value, found, err := v.store.Find(key)
	noteRead(ctx, v.name, began, "Find "+key, value, err)
	if !found {
		return nil, err
	}
	return slices.Clone(value), err
}

func (v scsValues) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	return getEach(ctx, v.Get, keys)
}

func (v scsValues) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	began := time.Now()
	err := v.store.Commit(key, value, began.Add(ttl))
	noteWrite(ctx, v.name, began, "Commit "+key+" "+size(value), err)
	return err
}

func (v scsValues) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		began := time.Now()
		err := v.store.Delete(key)
		noteWrite(ctx, v.name, began, "Delete "+key, err)
		if err != nil {
			return err
		}
	}
	return nil
}

func (scsValues) Ping(context.Context) error { return nil }

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
