package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// single is a store that one process owns. Its compare-and-swap is one step
// because every write of the process waits for the one before.
type single struct {
	values  values
	timeout time.Duration // longest wait for the writes before
	writing chan struct{} // held by whoever writes
	close   func() error
	stop    context.CancelFunc // ends the beating
	beating sync.WaitGroup
}

// values is what single makes a [Store] of.
type values interface {
	Get(ctx context.Context, key string) ([]byte, error)
	GetMany(ctx context.Context, keys []string) ([][]byte, error)
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	Delete(ctx context.Context, keys ...string) error
	DeleteAll(ctx context.Context) (int, error)
	// property and setProperty are about what this data says of itself; "" is
	// nothing.
	property(ctx context.Context, p property) (string, error)
	setProperty(ctx context.Context, p property, value string) error
	Ping(ctx context.Context) error
}

// property is something that data says of itself: the end of the key it is kept
// under, after that of the beat.
type property string

const (
	beatProperty property = ""       // see heartbeat
	idProperty   property = ".store" // see [Identity]
)

const lockedInProcess = "a lock in this server, taken before the record is read again and let go after it is written; no other process has the store open"

func newSingle(v values, timeout time.Duration, close func() error) *single {
	return &single{values: v, timeout: timeout, writing: make(chan struct{}, 1), close: close, stop: func() {}}
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

func (s *single) DeleteAll(ctx context.Context) (removed int, err error) {
	err = s.alone(ctx, func() error { removed, err = s.values.DeleteAll(ctx); return err })
	return removed, err
}

func (s *single) id(ctx context.Context) (string, error) { return s.values.property(ctx, idProperty) }

func (s *single) setID(ctx context.Context, id string) error {
	return s.alone(ctx, func() error { return s.values.setProperty(ctx, idProperty, id) })
}

func (s *single) Ping(ctx context.Context) error { return s.values.Ping(ctx) }

func (s *single) Close() error {
	s.stop()
	s.beating.Wait()
	return s.close()
}

// The beat of a store that one process owns: see heartbeat. Older data can only
// come under it while no server runs, so it is read when the store is opened,
// and written now and then to keep short what has to be applied there.
const singleBeatEvery = time.Minute

// applyEndings removes the sessions that ended since the beat in this data, and
// keeps it beating from then on, with a watch on the database's clock.
func (s *single) applyEndings(ctx context.Context, cfg Config) (*clockWatch, error) {
	beats := newHeartbeat(cfg)
	stored, err := s.values.property(ctx, beatProperty)
	if err != nil {
		return nil, fmt.Errorf("read the beat: %w", err)
	}
	at, epoch, _ := strings.Cut(stored, " ")
	next, err := beats.apply(ctx, beat{at, epoch}, func(keys []string) error { return s.Delete(ctx, keys...) })
	if err != nil {
		return nil, err
	}
	write := func(ctx context.Context, b beat) error {
		text := strings.TrimSpace(b.at + " " + b.epoch)
		return s.alone(ctx, func() error { return s.values.setProperty(ctx, beatProperty, text) })
	}
	if err := write(ctx, next); err != nil {
		return nil, fmt.Errorf("write the beat: %w", err)
	}
	s.keepBeating(cfg, beats.clock, write)
	return beats.clock, nil
}

func (s *single) keepBeating(cfg Config, clock *clockWatch, write func(context.Context, beat) error) {
	var run context.Context
	run, s.stop = context.WithCancel(context.Background())
	s.beating.Go(func() {
		tick := time.NewTicker(singleBeatEvery)
		defer tick.Stop()
		for {
			select {
			case <-run.Done():
				return
			case <-tick.C:
			}
			// Every ending is removed here before it is stamped, so the clock read
			// before the write is a beat.
			now, err := clock.read(run, cfg.Endings)
			if err == nil {
				err = write(run, beatOf(now))
			}
			if err != nil && run.Err() == nil {
				cfg.Log.Warn("heartbeat of the session store not written", "cause", err)
			}
		}
	})
}

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

func openMemory(cfg Config) (*Opened, error) {
	identity := Identity{Kind: KindMemory, Place: "the server’s own memory"}
	if err := accept(cfg, identity); err != nil {
		return nil, err
	}
	// Its sweeper ends with the process: StopCleanup is a data race (scs v2.9.0
	// makes the channel it reads in the sweeper itself).
	v := scsValues{name: "the server’s own memory", store: memstore.New()}
	return &Opened{Store: newSingle(v, localTimeout, func() error { return nil }), Where: "this server’s memory", OneStep: lockedInProcess, identity: identity}, nil
}

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
		return nil, fmt.Errorf("%s is held by another running server: a file belongs to one process", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	v := newBoltValues(db, cfg.Log)
	s := newSingle(v, localTimeout, v.close)
	identity := Identity{Kind: KindFile, Place: placeOfFile("the file", path)}
	clock, err := s.begin(context.Background(), cfg, identity)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &Opened{Store: s, Where: "file " + path, OneStep: lockedInProcess, identity: identity, clock: clock}, nil
}

// begin makes sure that data is the right one and lacks no ending, before it is
// used. It returns the watch on the database's clock.
func (s *single) begin(ctx context.Context, cfg Config, identity Identity) (*clockWatch, error) {
	if cfg.Accept != nil {
		var err error
		if identity.ID, err = s.id(ctx); err != nil {
			return nil, fmt.Errorf("read which store this is: %w", err)
		}
		if err := accept(cfg, identity); err != nil {
			return nil, err
		}
	}
	return s.applyEndings(ctx, cfg)
}

func inDataDir(cfg Config, name string) (path string, err error) {
	if cfg.Accept == nil {
		if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
			return "", fmt.Errorf("make DATA_DIR: %w", err)
		}
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
	traceOf(ctx).ran(v.name, began, value, err, "Find", key)
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
	traceOf(ctx).ran(v.name, began, nil, err, "Commit", key, value)
	return err
}

func (v scsValues) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		began := time.Now()
		err := v.store.Delete(key)
		traceOf(ctx).ran(v.name, began, nil, err, "Delete", key)
		if err != nil {
			return err
		}
	}
	return nil
}

func (v scsValues) DeleteAll(context.Context) (int, error) {
	all, err := v.store.(scs.IterableStore).All()
	if err != nil {
		return 0, err
	}
	for key := range all {
		if err := v.store.Delete(key); err != nil {
			return 0, err
		}
	}
	return len(all), nil
}

func (scsValues) Ping(context.Context) error { return nil }

// scsBeatKey is where a store of scs keeps the beat; other properties are under
// keys that begin with it. No session has such a key: theirs are 43 characters long.
const scsBeatKey = "beat"

func (v scsValues) property(_ context.Context, p property) (string, error) {
	value, _, err := v.store.Find(scsBeatKey + string(p))
	return string(value), err
}

func (v scsValues) setProperty(_ context.Context, p property, value string) error {
	return v.store.Commit(scsBeatKey+string(p), []byte(value), time.Now().AddDate(10, 0, 0))
}

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
