package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/gomodule/redigo/redis"
	"github.com/nalgeon/redka"
	"github.com/nalgeon/redka/redsrv"
	_ "modernc.org/sqlite" // the driver Redka keeps its data with
)

// maxSocketPath is the longest path a unix socket can have everywhere
// (sun_path is 104 bytes on macOS, 108 on Linux, with the closing NUL).
const maxSocketPath = 103

// embeddedRedis is a Redis-compatible server inside this process, for a
// machine that has no Redis. It listens on a unix socket, and the same redigo
// code talks to it. It belongs to one process at a time.
type embeddedRedis struct {
	server *redsrv.Server
	socket string
	lock   *flock.Flock
	own    string // folder made for the socket alone, or ""
	gate   gate
}

// startEmbeddedRedis serves the database redis.db in dir on the socket
// redis.sock beside it.
func startEmbeddedRedis(ctx context.Context, dir string, log *slog.Logger) (*embeddedRedis, error) {
	lock := flock.New(filepath.Join(dir, "redis.lock"))
	if err := takeLock(ctx, lock); err != nil {
		return nil, err
	}
	e := &embeddedRedis{lock: lock}
	if err := e.listen(dir, log); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return e, nil
}

// takeLock waits a little for a predecessor that is about to leave.
func takeLock(ctx context.Context, lock *flock.Flock) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	taken, err := lock.TryLockContext(ctx, 20*time.Millisecond)
	if errors.Is(err, context.DeadlineExceeded) || (err == nil && !taken) {
		return fmt.Errorf("%s is held by another running server: stop it, choose another DATA_DIR, or set REDIS_URL so that several servers can share sessions", lock.Path())
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", lock.Path(), err)
	}
	return nil
}

func (e *embeddedRedis) listen(dir string, log *slog.Logger) error {
	e.socket = filepath.Join(dir, "redis.sock")
	if len(e.socket) > maxSocketPath {
		own, err := os.MkdirTemp("", "holdfast")
		if err != nil {
			return fmt.Errorf("make a folder for the socket: %w", err)
		}
		e.own, e.socket = own, filepath.Join(own, "redis.sock")
	}
	// A socket left by a killed process; the lock says that it is gone.
	if err := os.Remove(e.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove old socket: %w", err)
	}
	// Made here, for its owner alone: SQLite would let everybody read it.
	file := filepath.Join(dir, "redis.db")
	made, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("make embedded Redis: %w", err)
	}
	if err := made.Close(); err != nil {
		return fmt.Errorf("make embedded Redis: %w", err)
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	db, err := redka.Open(filepath.ToSlash(file), &redka.Options{DriverName: "sqlite", Logger: quiet})
	if err != nil {
		return fmt.Errorf("open embedded Redis in %s: %w", dir, err)
	}
	e.server = redsrv.New("unix", e.socket, db)
	ready := make(chan error, 1)
	go func() {
		if err := e.server.Start(ready); err != nil {
			log.Error("embedded Redis stopped", "cause", err)
		}
	}()
	if err := <-ready; err != nil {
		return errors.Join(fmt.Errorf("start embedded Redis: %w", err), db.Close())
	}
	return nil
}

func (e *embeddedRedis) dial(ctx context.Context, options ...redis.DialOption) (redis.Conn, error) {
	return redis.DialContext(ctx, "unix", e.socket, append(options, redis.DialContextFunc(e.gate.dial))...)
}

func (e *embeddedRedis) close() error {
	err := e.server.Stop()
	if e.own != "" {
		err = errors.Join(err, os.RemoveAll(e.own))
	}
	return errors.Join(err, e.lock.Unlock())
}

// embeddedStore is the embedded Redis as an scs store, to be used under a
// lock: it has no scripts that could compare and store in one step.
type embeddedStore struct{ *redisCells }

// FindCtx implements [scs.CtxStore].
func (s embeddedStore) FindCtx(ctx context.Context, key string) ([]byte, bool, error) {
	return s.find(ctx, key)
}

// CommitCtx implements [scs.CtxStore].
func (s embeddedStore) CommitCtx(ctx context.Context, key string, record []byte, expiry time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.do(ctx, "SET", keyPrefix+key, record, "PX", time.Until(expiry).Milliseconds())
	return err
}

// DeleteCtx implements [scs.CtxStore].
func (s embeddedStore) DeleteCtx(ctx context.Context, key string) error { return s.remove(ctx, key) }

// Find, Commit and Delete complete [scs.Store]; only the variants above are
// called.
func (s embeddedStore) Find(string) ([]byte, bool, error)      { return nil, false, errNoContext }
func (s embeddedStore) Commit(string, []byte, time.Time) error { return errNoContext }
func (s embeddedStore) Delete(string) error                    { return errNoContext }
