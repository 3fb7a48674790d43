// Package embeddedredis runs a Redis-compatible server inside this process, for
// a machine that has no Redis. Redka keeps the data, in SQLite.
//
// It owns the data file, the lock that gives it to one process at a time, the
// socket, and the commands that are answered. Strings, keys, transactions and
// what people look around with (SCAN, INFO, MONITOR, CLIENT LIST …) answer as
// Redis 7.0 does over RESP2; every other command gets an error that says which
// server this is. Redka has a server of its own, which answers fewer of these
// commands and some of them in other types (the cursor of SCAN is an integer,
// on which redis-cli --scan ends); its database is used without it.
//
// It must not know sessions, nor who asks.
package embeddedredis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/gomodule/redigo/redis"
	"github.com/nalgeon/redka"

	"holdfast/internal/product"
	"holdfast/internal/sqlitefile"
)

const (
	// maxSocketPath is the longest path a unix socket can have everywhere
	// (sun_path is 104 bytes on macOS, 108 on Linux, with the closing NUL).
	maxSocketPath = 103

	// lockLimit is how long a start waits for a predecessor to end.
	lockLimit = 3 * time.Second

	// transactionLimit is how long a transaction may take before it is undone,
	// the wait for those before it among that. Whoever waits for less says so to
	// his connection; this one only has to end.
	transactionLimit = time.Minute

	// dataFile and socketFile lie in the server's folder.
	dataFile   = "redis.db"
	socketFile = "redis.sock"

	// errNoUnixSockets is WSAEAFNOSUPPORT, which Windows answers where it has
	// no unix sockets.
	errNoUnixSockets = syscall.Errno(10047)
)

// Server is a running server. Close ends it.
type Server struct {
	db       *redka.DB
	store    store
	commands map[string]*command
	log      *slog.Logger
	lock     *flock.Flock
	dir      string       // absolute
	listener net.Listener // nil where the system has no unix sockets
	socket   string       // its path; "" without one
	own      string       // folder made for the socket alone, or ""
	started  time.Time
	gate     gate
	monitors monitors
	counts   counts

	mu      sync.Mutex
	clients map[int64]*client
	lastID  int64
	closed  bool
	working sync.WaitGroup // one for each client, and the listener
}

// counts are what INFO stats tells.
type counts struct{ connections, commands, hits, misses atomic.Int64 }

// Start serves the database redis.db in dir on the socket redis.sock beside it,
// or on one in a new folder below the system's temporary folder where that path
// is too long for a socket. Where the system has no unix sockets, only [Dial]
// leads to the server. dir must exist. A second process that asks for the same
// dir waits three seconds for the first to end, and is then refused.
func Start(ctx context.Context, dir string, log *slog.Logger) (*Server, error) {
	return start(ctx, dir, log, net.Listen)
}

func start(ctx context.Context, dir string, log *slog.Logger, listen func(network, address string) (net.Listener, error)) (*Server, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find folder of embedded Redis: %w", err)
	}
	s := &Server{
		commands: commandTable(),
		log:      log,
		lock:     flock.New(filepath.Join(dir, "redis.lock"), flock.SetPermissions(0o600)),
		dir:      dir,
		started:  time.Now(),
		gate:     gate{gone: make(chan struct{})},
		clients:  map[int64]*client{},
	}
	if err := takeLock(ctx, s.lock); err != nil {
		return nil, err
	}
	if err := s.openData(); err != nil {
		return nil, errors.Join(err, s.lock.Unlock())
	}
	if err := s.listen(listen); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// takeLock waits a little for a predecessor that is about to leave.
func takeLock(ctx context.Context, lock *flock.Flock) error {
	ctx, cancel := context.WithTimeout(ctx, lockLimit)
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

func (s *Server) openData() error {
	file := filepath.Join(s.dir, dataFile)
	s.reportMisplaced(file)
	// One handle writes and one reads, as in redka.Open, which takes no path with
	// ?, # or %41 in it.
	rw, err := sqlitefile.Open(file, url.Values{"_txlock": {"immediate"}})
	if err != nil {
		return fmt.Errorf("open embedded Redis: %w", err)
	}
	ro, err := sqlitefile.Open(file, url.Values{"mode": {"ro"}})
	if err != nil {
		return errors.Join(fmt.Errorf("open embedded Redis: %w", err), rw.Close())
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	s.db, err = redka.OpenDB(rw, ro, &redka.Options{DriverName: sqlitefile.Driver, Logger: quiet, Timeout: transactionLimit})
	if err != nil {
		return errors.Join(fmt.Errorf("open embedded Redis in %s: %w", s.dir, err), rw.Close(), ro.Close())
	}
	s.store = storeOf(s.db)
	return nil
}

func (s *Server) listen(listen func(network, address string) (net.Listener, error)) error {
	socket, err := s.socketPath()
	if err != nil {
		return err
	}
	if socket == "" {
		s.log.Info("no folder has a path short enough for a socket: redis-cli cannot look into the embedded Redis")
		return nil
	}
	// A socket left by a killed process; the lock says that it is gone.
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove old socket: %w", err)
	}
	listener, err := listen("unix", socket)
	if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, errNoUnixSockets) {
		s.log.Info("this system has no unix sockets: redis-cli cannot look into the embedded Redis", "cause", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("start embedded Redis: %w", err)
	}
	s.listener, s.socket = listener, socket
	if err := os.Chmod(socket, 0o600); err != nil {
		return fmt.Errorf("keep others from the socket: %w", err)
	}
	s.working.Go(s.accept)
	return nil
}

// socketPath is where the socket is made: in the data folder, or in one of its
// own where that path is too long; "" where all are.
func (s *Server) socketPath() (string, error) {
	if path := filepath.Join(s.dir, socketFile); len(path) <= maxSocketPath {
		return path, nil
	}
	own, err := os.MkdirTemp("", product.Slug)
	if err != nil {
		return "", fmt.Errorf("make a folder for the socket: %w", err)
	}
	s.own = own
	if path := filepath.Join(own, socketFile); len(path) <= maxSocketPath {
		return path, nil
	}
	return "", nil
}

// accept takes connections until Close. The waiting time after a failure (no
// file descriptor is left) is that of net/http.
func (s *Server) accept() {
	const longest = time.Second
	wait := 5 * time.Millisecond
	for {
		conn, err := s.listener.Accept()
		switch {
		case err == nil:
			s.admit(conn, 0)
			wait = 5 * time.Millisecond
		case errors.Is(err, net.ErrClosed):
			return
		default:
			s.log.Error("embedded Redis took no connection", "cause", err)
			select {
			case <-time.After(wait):
			case <-s.gate.gone:
			}
			wait = min(2*wait, longest)
		}
	}
}

// admit serves a connection, through an outbox with this limit unless that is
// zero, or closes it when the server is closed.
func (s *Server) admit(conn net.Conn, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return false
	}
	s.lastID++
	s.counts.connections.Add(1)
	c := &client{server: s, conn: conn, id: s.lastID, since: time.Now()}
	if limit > 0 {
		c.box = newOutbox(conn, limit)
	}
	c.lastAt.Store(c.since.UnixNano())
	s.clients[c.id] = c
	s.working.Go(c.serve)
	return true
}

func (s *Server) dismiss(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c.id)
}

// Dial opens a connection. [Server.StandStill] holds what is written to it.
func (s *Server) Dial(ctx context.Context, options ...redis.DialOption) (redis.Conn, error) {
	return redis.DialContext(ctx, "unix", s.socket, append(options, redis.DialContextFunc(s.dial))...)
}

// DialSocket opens a connection to the server that another process runs in dir.
// It fails where no server runs, and where dir is no place for a socket: see
// [Start].
func DialSocket(ctx context.Context, dir string, options ...redis.DialOption) (redis.Conn, error) {
	return redis.DialContext(ctx, "unix", filepath.Join(dir, socketFile), options...)
}

func (s *Server) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if address == "" {
		near, far := net.Pipe()
		if !s.admit(far, pipeLimit) {
			return nil, net.ErrClosed
		}
		return newGated(near, &s.gate), nil
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return newGated(conn, &s.gate), nil
}

// Socket is the absolute path for redis-cli -s; "" where the system has no unix
// sockets.
func (s *Server) Socket() string { return s.socket }

// StandStill has the server take connections and no commands for d, at most
// [MaxStandStill], as a stopped process does: what is written to a connection
// from [Server.Dial] waits. The channel that it returns is closed when that is
// over. A second call meanwhile returns the same channel and prolongs nothing.
// Others on the socket are answered, so that one can look.
func (s *Server) StandStill(d time.Duration) (over <-chan struct{}) {
	return s.gate.shut(min(d, MaxStandStill))
}

// Close ends the server: commands that are being carried out are finished,
// connections are closed, and the data and the lock are let go. It does not
// wait for the end of a standstill. A second Close does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.gate.gone)
	for _, c := range s.clients {
		c.conn.Close()
	}
	s.mu.Unlock()
	var err error
	if s.listener != nil {
		err = s.listener.Close() // removes the socket too
	}
	s.working.Wait()
	err = errors.Join(err, s.db.Close())
	if s.own != "" {
		err = errors.Join(err, os.RemoveAll(s.own))
	}
	return errors.Join(err, s.lock.Unlock())
}
